package network

// Alloc is the kind of a pool network that deals out subnets and nothing else: the
// routes are somebody else's business (a cloud's route table, a routing daemon).
const Alloc = "alloc"

func allocKind() *Kind { return poolKind(Alloc, backend{}, routeAlloc) }

func routeAlloc(*pool, *poolMember) {}
