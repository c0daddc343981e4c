// Package host is a server as one cluster sees it: the cluster's files and notes, the
// sockets to the kernel, and what was seen at the last look at devices, addresses and
// routes. Others change the server with it and remember here what they must.
//
// It owns the server's lock, the spec that was confirmed, and the marks by which objects
// are known to be ours. It refuses to know what a spec asks for: which objects there are,
// what differs and what is to be done is for families.
package host
