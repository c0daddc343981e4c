package cloudfake

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// show notes what looks give now.
func (a *AWS) show() {
	if a.Lag == 0 || len(a.stale) > 0 {
		return
	}
	a.shown = map[string]string{}
	for _, t := range a.Tables {
		a.shown[t.ID] = a.tableXML(t)
	}
}

var known = map[string][]string{
	"networkInterfaceSet": {"addresses.private-ip-address", "ipv6-addresses.ipv6-address", "network-interface-id", "vpc-id", "subnet-id"},
	"routeTableSet":       {"vpc-id", "route-table-id", "association.subnet-id", "association.main"},
}

// describe is an answer in pages.
func (a *AWS) describe(form url.Values, list func(map[string][]string) ([]string, string), set string) (answer, code, text string) {
	filters := map[string][]string{}
	names := map[string]string{}
	page, from := 1000, 0
	for _, key := range slices.Sorted(maps.Keys(form)) {
		value, parts := form.Get(key), strings.Split(key, ".")
		var err error
		switch {
		case len(parts) == 3 && parts[0] == "Filter" && parts[2] == "Name":
			if !slices.Contains(known[set], value) {
				return "", "InvalidParameterValue", "The filter '" + value + "' is invalid"
			}
			names[parts[1]] = value
		case len(parts) == 4 && parts[0] == "Filter" && parts[2] == "Value":
			filters[names[parts[1]]] = append(filters[names[parts[1]]], value)
		case key == "MaxResults":
			if page, err = strconv.Atoi(value); err != nil || page < 5 || page > 1000 || set == "routeTableSet" && page > 100 {
				return "", "InvalidParameterValue", "MaxResults is out of range"
			}
		case key == "NextToken":
			if from, err = strconv.Atoi(value); err != nil {
				return "", "InvalidNextToken", "no such token"
			}
		default:
			return "", "UnknownParameter", "The parameter " + key + " is not recognized"
		}
	}
	for name, values := range filters {
		if name == "" || len(values) > 200 {
			return "", "FilterLimitExceeded", "The maximum number of filter values specified on a single call is 200"
		}
	}
	items, bad := list(filters)
	if bad != "" {
		return "", "InvalidParameterValue", bad
	}
	if a.Page > 0 {
		page = min(page, a.Page)
	}
	to := min(len(items), from+page)
	answer = "<" + set + ">" + strings.Join(items[min(from, to):to], "") + "</" + set + ">"
	if to < len(items) {
		answer += "<nextToken>" + strconv.Itoa(to) + "</nextToken>"
	}
	return answer, "", ""
}

func (a *AWS) interfaces(filters map[string][]string) (out []string, bad string) {
	for _, n := range a.NICs {
		if lets(filters, "addresses.private-ip-address", n.Addr.String()) && lets(filters, "network-interface-id", n.ID) && lets(filters, "vpc-id", n.VPC) && lets(filters, "ipv6-addresses.ipv6-address", "") && lets(filters, "subnet-id", n.Subnet) {
			out = append(out, fmt.Sprintf("<item><networkInterfaceId>%s</networkInterfaceId><subnetId>%s</subnetId><vpcId>%s</vpcId><privateIpAddress>%s</privateIpAddress><sourceDestCheck>%t</sourceDestCheck>"+
				"<privateIpAddressesSet><item><privateIpAddress>%s</privateIpAddress><primary>true</primary></item></privateIpAddressesSet></item>", n.ID, n.Subnet, n.VPC, n.Addr, n.Checked, n.Addr))
		}
	}
	return out, ""
}

// lets says whether a filter lets a value through.
func lets(filters map[string][]string, name, value string) bool {
	values, is := filters[name]
	return !is || slices.Contains(values, value)
}

func (a *AWS) tables(filters map[string][]string) (out []string, bad string) {
	late := len(a.stale) > 0
	if late {
		a.stale = a.stale[1:]
	}
	for _, t := range a.Tables {
		subnet, is := filters["association.subnet-id"]
		if !lets(filters, "vpc-id", t.VPC) || !lets(filters, "route-table-id", t.ID) || !lets(filters, "association.main", strconv.FormatBool(t.Main)) ||
			is && !slices.ContainsFunc(subnet, func(s string) bool { return slices.Contains(t.Subnets, s) }) {
			continue
		}
		if late {
			out = append(out, a.shown[t.ID])
		} else {
			out = append(out, a.tableXML(t))
		}
	}
	return out, ""
}

func (a *AWS) tableXML(t *Table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<item><routeTableId>%s</routeTableId><vpcId>%s</vpcId><routeSet>", t.ID, t.VPC)
	for _, r := range t.Routes {
		to := "destinationCidrBlock"
		if strings.Contains(r.To, ":") {
			to = "destinationIpv6CidrBlock"
		}
		by := "gatewayId"
		if strings.HasPrefix(r.By, "eni-") {
			by = "networkInterfaceId"
		}
		fmt.Fprintf(&b, "<item><%s>%s</%s><%s>%s</%s><state>%s</state><origin>%s</origin></item>", to, r.To, to, by, r.By, by, a.stateOf(r), cmp.Or(r.Origin, "CreateRoute"))
	}
	b.WriteString("</routeSet><associationSet>")
	if t.Main {
		fmt.Fprintf(&b, "<item><routeTableAssociationId>rtbassoc-main</routeTableAssociationId><routeTableId>%s</routeTableId><main>true</main></item>", t.ID)
	}
	for _, s := range t.Subnets {
		fmt.Fprintf(&b, "<item><routeTableAssociationId>rtbassoc-%s</routeTableAssociationId><routeTableId>%s</routeTableId><subnetId>%s</subnetId><main>false</main></item>", s, t.ID, s)
	}
	return b.String() + "</associationSet></item>"
}
