import Foundation

/// An HTTP proxy through which deliveries leave, by CONNECT (`docs/decisions/0004-egress-proxy.md`). Whoever runs the
/// server names it and trusts it: its own address is not judged.
package struct EgressProxy: Sendable, Equatable, CustomStringConvertible {
    package let host: ReceiverURL.Host
    package let port: UInt16
    /// The value of `Proxy-Authorization`, a secret; nil where the proxy asks for none.
    package let authorization: String?

    /// Nil unless it is `http://host:port`, perhaps with `user:password@`, both percent-encoded, before the host.
    package init?(_ text: String) {
        let scheme = "http://"
        guard text.utf8.allSatisfy({ 0x21...0x7E ~= $0 }), text.lowercased().hasPrefix(scheme) else { return nil }
        var authority = text.dropFirst(scheme.count)
        if authority.last == "/" { authority = authority.dropLast() }
        var credentials: String?
        if let at = authority.lastIndex(of: "@") {
            guard let basic = Self.basic(authority[..<at]) else { return nil }
            credentials = basic
            authority = authority[authority.index(after: at)...]
        }
        do {
            let (host, port) = try ReceiverURL.splitPort(authority.utf8[...])
            guard let port else { return nil }
            self.host = try ReceiverURL.readHost(host)
            self.port = try ReceiverURL.readPort(port)
        } catch {
            return nil
        }
        authorization = credentials
    }

    private static func basic(_ userInfo: Substring) -> String? {
        let parts = userInfo.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let plain = parts.compactMap { String($0).removingPercentEncoding }
        guard plain.count == 2, parts.count == 2, !plain[0].isEmpty, !plain[0].contains(":") else { return nil }
        return "Basic " + Data("\(plain[0]):\(plain[1])".utf8).base64EncodedString()
    }

    /// Without the credentials.
    package var description: String { "http://\(host.description):\(port)" }
}
