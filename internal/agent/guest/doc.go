// Package guest reads what libvirt keeps of its guests in files, the XML of their domains, and
// writes the parts of it that are about interfaces.
//
// It does not know bridges or networks, and asks and tells libvirt nothing.
package guest
