package import ReenvioModel

/// Who is calling, by address: the socket's peer, or, when that is a trusted proxy, the last entry of `X-Forwarded-For`
/// that is no trusted proxy itself (`docs/contract.md` 9).
package struct ClientAddress: Sendable {
    private let trustedProxies: [CIDR]

    package init(trustedProxies: [CIDR]) {
        self.trustedProxies = trustedProxies
    }

    /// Nil where there is no socket, and where the entry that decides is no address (`unknown`, a hidden name): such a
    /// caller matches no CIDR, rather than passing as the proxy.
    package func resolve(peer: IPAddress?, forwardedFor: @autoclosure () -> [String]) -> IPAddress? {
        guard let address = peer?.unwrapped else { return nil }
        guard isTrusted(address) else { return address }
        let forwarded = forwardedFor().joined(separator: ",")
        if forwarded.isEmpty { return address }
        var nearest = address
        let entries = forwarded.split(separator: ",", omittingEmptySubsequences: false)
        for entry in entries.reversed() {
            guard let hop = Self.address(in: entry)?.unwrapped else { return nil }
            nearest = hop
            if !isTrusted(hop) { return hop }
        }
        return nearest
    }

    /// Reads `198.51.100.7`, `198.51.100.7:1234`, `2001:db8::1`, `[2001:db8::1]` and `[2001:db8::1]:1234`, which
    /// proxies send, with blanks around them.
    private static func address(in entry: Substring) -> IPAddress? {
        var text = entry.drop(while: isBlank)
        while let last = text.last, isBlank(last) { text.removeLast() }
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]"), isPort(text[end...].dropFirst()) else { return nil }
            guard case .v6(let bits)? = IPAddress(String(text[..<end].dropFirst())) else { return nil }
            return .v6(bits)
        }
        guard text.utf8.count(where: { $0 == UInt8(ascii: ":") }) == 1, let colon = text.firstIndex(of: ":") else {
            return IPAddress(String(text))
        }
        return isPort(text[colon...]) ? IPAddress(String(text[..<colon])) : nil
    }

    /// Nothing, or a colon and a port.
    private static func isPort(_ text: Substring) -> Bool {
        if text.isEmpty { return true }
        let digits = text.dropFirst().utf8
        return text.first == ":" && (1...5).contains(digits.count)
            && digits.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    private static func isBlank(_ character: Character) -> Bool { character == " " || character == "\t" }

    private func isTrusted(_ address: IPAddress) -> Bool {
        trustedProxies.contains { $0.contains(address) }
    }
}
