package network

// Alloc is the kind of a pool network that only allocates subnets. Something else makes
// the routes: a cloud's route table, a routing daemon.
const Alloc = "alloc"

func allocKind() *Kind { return poolKind(Alloc, backend{}, routeAlloc) }

func routeAlloc(*pool, *poolMember) {}
