/// Which addresses a delivery may be sent to, and at which ports (`docs/contract.md` 3.3, 15): by default every global
/// unicast one. A table, so that it
/// can be asked twice: for the literal in a URL, and for each address a connection is about to be opened to.
///
/// IPv4-mapped and NAT64 addresses are judged by the IPv4 address inside, here and in `allowed`.
package struct AddressPolicy: Sendable {
    /// Whether receivers may be reached over http. For development.
    package let allowHTTP: Bool
    /// Blocks that are let through although the table forbids them.
    private let allowed: [CIDR]
    /// Blocks that are refused although they are public, such as the operator's own; `allowed` does not open them.
    private let denied: [CIDR]
    /// The ports of public addresses; nil: any. An allowed block has any port.
    private let ports: Set<UInt16>?
    /// Where this server itself listens: never a receiver, not even where `allowed` covers it.
    private let own: [(address: IPAddress, port: UInt16)]

    package init(
        allowed: [CIDR] = [], denied: [CIDR] = [], ports: Set<UInt16>? = nil, allowHTTP: Bool = false,
        own: [(address: IPAddress, port: UInt16)] = []
    ) {
        self.allowed = allowed
        self.denied = denied
        self.ports = ports
        self.allowHTTP = allowHTTP
        self.own = own.map { ($0.address.unwrapped, $0.port) }
    }

    package func permits(_ address: IPAddress, port: UInt16) -> Bool {
        let address = address.unwrapped
        if isOwn(address, port: port) || denied.contains(where: { $0.contains(address) }) { return false }
        if Self.isPublic(address), permitsPublicly(port) { return true }
        let mustBeExact = Self.metadata.contains(address)
        return allowed.contains { $0.contains(address) && ($0.isSingle || !mustBeExact) }
    }

    /// Whether some address behind a name could be reached at that port.
    package func mayPermit(port: UInt16) -> Bool { permitsPublicly(port) || !allowed.isEmpty }

    private func permitsPublicly(_ port: UInt16) -> Bool { ports?.contains(port) ?? true }

    /// Global unicast, which for IPv6 is what has been given out so far (RFC 4291 2.4, IANA's registry).
    private static func isPublic(_ address: IPAddress) -> Bool {
        if case .v6 = address, !globalUnicast.contains(address) { return false }
        return !forbidden.contains { $0.contains(address) }
    }

    /// A listener on `0.0.0.0` or `::` is met at every loopback address, and a call to these two meets any listener.
    private func isOwn(_ address: IPAddress, port: UInt16) -> Bool {
        own.contains { own in
            own.port == port
                && (own.address == address || address.isUnspecified
                    || own.address.isUnspecified && address.isLoopback)
        }
    }

    /// Where clouds hand out credentials. Let through only when listed as an address alone.
    private static let metadata: [IPAddress] = [
        CIDR.v4(169, 254, 169, 254, prefix: 32).network,
        CIDR.v6(0xFD00, 0x0EC2, 0, 0, 0, 0, 0, 0x0254, prefix: 128).network,
    ]

    private static let globalUnicast = CIDR.v6(0x2000, prefix: 3)

    private static let forbidden: [CIDR] = [
        .v4(0, 0, 0, 0, prefix: 8),  // this network
        .v4(10, 0, 0, 0, prefix: 8),  // private
        .v4(100, 64, 0, 0, prefix: 10),  // carrier NAT
        .v4(127, 0, 0, 0, prefix: 8),  // loopback
        .v4(169, 254, 0, 0, prefix: 16),  // link-local, cloud metadata
        .v4(172, 16, 0, 0, prefix: 12),  // private
        .v4(192, 0, 0, 0, prefix: 24),  // special
        .v4(192, 0, 2, 0, prefix: 24),  // documentation
        .v4(192, 88, 99, 0, prefix: 24),  // 6to4 relay
        .v4(192, 168, 0, 0, prefix: 16),  // private
        .v4(198, 18, 0, 0, prefix: 15),  // benchmarking
        .v4(198, 51, 100, 0, prefix: 24),  // documentation
        .v4(203, 0, 113, 0, prefix: 24),  // documentation
        .v4(224, 0, 0, 0, prefix: 4),  // multicast
        .v4(240, 0, 0, 0, prefix: 4),  // reserved, broadcast

        .v6(0x2001, prefix: 23),  // special, with Teredo
        .v6(0x2001, 0x0DB8, prefix: 32),  // documentation
        .v6(0x2002, prefix: 16),  // 6to4
        .v6(0x3FFF, prefix: 20),  // documentation
    ]
}

/// Blocks written so that a slip does not compile, where a text that does not parse would leave a hole.
extension CIDR {
    fileprivate static func v4(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8, prefix: Int) -> CIDR {
        CIDR(.v4([a, b, c, d].reduce(0) { $0 << 8 | UInt32($1) }), prefixLength: prefix)
    }

    /// `groups`: the leading ones of eight; the rest are zero.
    fileprivate static func v6(_ groups: UInt16..., prefix: Int) -> CIDR {
        let leading = groups.reduce(UInt128(0)) { $0 << 16 | UInt128($1) }
        return CIDR(.v6(leading << (16 * (8 - groups.count))), prefixLength: prefix)
    }
}
