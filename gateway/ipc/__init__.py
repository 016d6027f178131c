"""How the gateway's processes speak to each other: typed messages in frames over Unix sockets, peers known by uid."""
