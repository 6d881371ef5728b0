package import ReenvioModel

/// Who is calling, by address: the socket's peer, or, when that is a trusted proxy, the last entry of `X-Forwarded-For`
/// that is no trusted proxy itself (`docs/contract.md` 9).
package struct ClientAddress: Sendable {
    private let trustedProxies: [CIDR]

    package init(trustedProxies: [CIDR]) {
        self.trustedProxies = trustedProxies
    }

    /// Nil where there is no socket, or a trusted proxy sends something that is no address.
    package func resolve(peer: IPAddress?, forwardedFor: @autoclosure () -> [String]) -> IPAddress? {
        guard let address = peer?.unwrapped else { return nil }
        guard isTrusted(address) else { return address }
        var nearest = address
        for entry in forwardedFor().joined(separator: ",").split(separator: ",").reversed() {
            let text = entry.filter { $0 != " " && $0 != "\t" }
            guard let hop = IPAddress(String(text))?.unwrapped else { return nearest }
            nearest = hop
            if !isTrusted(hop) { return hop }
        }
        return nearest
    }

    private func isTrusted(_ address: IPAddress) -> Bool {
        trustedProxies.contains { $0.contains(address) }
    }
}
