import NIOHTTP1

/// Requires exactly one host in the grammar of a URI (RFC 9112 3.2): a proxy in front might read another one. No link
/// is ever made from that host.
enum HostRule {
    static func isSound(_ head: HTTPRequestHead) -> Bool {
        let hosts = head.headers["host"]
        guard hosts.count == 1 || (hosts.isEmpty && !head.version.isHTTP11) else { return false }
        return hosts.allSatisfy { isAuthority($0[...]) } && authority(of: head.uri).map(isAuthority) ?? true
    }

    /// What a target in absolute form says between its scheme and its path (RFC 9112 3.2.2).
    private static func authority(of target: String) -> Substring? {
        guard target.utf8.first != UInt8(ascii: "/"), let scheme = target.firstRange(of: "://") else { return nil }
        return target[scheme.upperBound...].prefix { !"/?#".contains($0) }
    }

    /// A host that is not empty, and a port or none: no user, no blank, no list.
    private static func isAuthority(_ text: Substring) -> Bool {
        var host = text.utf8
        if host.first == UInt8(ascii: "[") {
            guard let end = host.firstIndex(of: UInt8(ascii: "]")) else { return false }
            let inner = host[host.index(after: host.startIndex)..<end]
            guard !inner.isEmpty, inner.allSatisfy({ isHexadecimal($0) || $0 == UInt8(ascii: ":") || $0 == dot }) else {
                return false
            }
            host = host[host.index(after: end)...]
            return host.isEmpty || (host.first == UInt8(ascii: ":") && isPort(host.dropFirst()))
        }
        let name = host.prefix { $0 != UInt8(ascii: ":") }
        guard !name.isEmpty, name.allSatisfy(isNameByte) else { return false }
        let rest = host[name.endIndex...]
        return rest.isEmpty || isPort(rest.dropFirst())
    }

    private static let dot = UInt8(ascii: ".")

    private static func isPort(_ digits: Substring.UTF8View) -> Bool {
        digits.isEmpty || (digits.allSatisfy(isDigit) && UInt16(Substring(digits)) != nil)
    }

    /// Unreserved characters, percent signs, and the sub-delimiters but the comma, which would make two hosts of one.
    private static func isNameByte(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
            || "-._~%!$&'()*+;=".utf8.contains(byte)
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}
