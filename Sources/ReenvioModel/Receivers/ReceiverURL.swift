/// Why a text is not the URL of a receiver.
package enum ReceiverURLFault: Error, Hashable, CaseIterable {
    /// Not `scheme://host...`, not visible ASCII throughout, or a host that is neither a name nor an address in its one
    /// canonical spelling.
    case malformed
    /// A scheme other than https (or http, where the policy allows it).
    case notHTTPS
    /// Something before an `@`, even nothing.
    case userInfo
    /// A port other than 1...65535 in plain digits.
    case port
    /// A name that is local by definition.
    case forbiddenHost
    /// A literal address that the policy forbids.
    case forbiddenAddress
}

/// Where notifications are sent: an absolute https URL of a public host, judged by its syntax and its literal address
/// (`docs/contract.md` 2.1 and 3.3). What a name resolves to is judged when a connection is made.
///
/// Our own parser, because what was judged must be what is dialled: it takes only spellings on which all parsers agree
/// and refuses the others. Its parts hold visible ASCII only, so that none can break out of a request line or header.
package struct ReceiverURL: Hashable, Sendable {
    package enum Scheme: String, Sendable {
        case http, https

        package var defaultPort: UInt16 {
            self == .https ? 443 : 80
        }
    }

    package enum Host: Hashable, Sendable, CustomStringConvertible {
        /// In lower case.
        case name(String)
        case address(IPAddress)

        /// As it stands in a URL: IPv6 in brackets.
        package var description: String {
            switch self {
            case .name(let name): name
            case .address(let address):
                switch address {
                case .v4: address.description
                case .v6: "[\(address.description)]"
                }
            }
        }
    }

    package let scheme: Scheme
    package let host: Host
    package let port: UInt16
    /// Path and query as given; starts with `/`. The fragment is dropped.
    package let target: String
    /// The URL as given.
    package let text: String
    /// The value of the `Host` header: without the default port.
    package let hostHeader: String

    /// Scheme, host and port, always with the port: what makes a receiver (`docs/contract.md` 13.11).
    package var origin: String {
        "\(scheme.rawValue)://\(host.description):\(port)"
    }

    /// The length of the text is not judged here.
    package init(parsing text: String, policy: AddressPolicy) throws(ReceiverURLFault) {
        guard text.utf8.allSatisfy({ 0x21...0x7E ~= $0 && $0 != UInt8(ascii: "\\") }) else { throw .malformed }
        let (scheme, hierarchy) = try Self.splitScheme(text.utf8[...], policy: policy)
        let authority = hierarchy.prefix { !"/?#".utf8.contains($0) }
        guard !authority.contains(UInt8(ascii: "@")) else { throw .userInfo }
        let (hostText, portText) = try Self.splitPort(authority)
        let host = try Self.readHost(hostText)
        let port = try portText.map(Self.readPort) ?? scheme.defaultPort
        try Self.judge(host, port: port, policy: policy)

        self.scheme = scheme
        self.host = host
        self.port = port
        self.target = Self.target(hierarchy[authority.endIndex...])
        self.text = text
        hostHeader = port == scheme.defaultPort ? host.description : "\(host.description):\(port)"
    }
}

// MARK: - Syntax

extension ReceiverURL {
    /// The scheme, and what follows `://`.
    private static func splitScheme(
        _ text: Substring.UTF8View, policy: AddressPolicy
    ) throws(ReceiverURLFault) -> (Scheme, Substring.UTF8View) {
        guard let colon = text.firstIndex(of: UInt8(ascii: ":")) else { throw .malformed }
        guard let scheme = Scheme(rawValue: Substring(text[..<colon]).lowercased()),
            scheme == .https || policy.allowHTTP
        else { throw .notHTTPS }
        let rest = text[colon...].dropFirst()
        guard rest.starts(with: "//".utf8) else { throw .malformed }
        return (scheme, rest.dropFirst(2))
    }

    /// The host, with its brackets if it has any, and what follows the colon behind it.
    static func splitPort(
        _ authority: Substring.UTF8View
    ) throws(ReceiverURLFault) -> (host: Substring.UTF8View, port: Substring.UTF8View?) {
        var hostEnd = authority.firstIndex(of: UInt8(ascii: ":")) ?? authority.endIndex
        if authority.first == UInt8(ascii: "[") {
            guard let bracket = authority.firstIndex(of: UInt8(ascii: "]")) else { throw .malformed }
            hostEnd = authority.index(after: bracket)
        }
        let rest = authority[hostEnd...]
        guard let colon = rest.first else { return (authority, nil) }
        guard colon == UInt8(ascii: ":") else { throw .malformed }
        return (authority[..<hostEnd], rest.dropFirst())
    }

    static func readPort(_ text: Substring.UTF8View) throws(ReceiverURLFault) -> UInt16 {
        guard let number = readDecimal(text, digits: 5), let port = UInt16(exactly: number), port > 0 else {
            throw .port
        }
        return port
    }

    static func readHost(_ text: Substring.UTF8View) throws(ReceiverURLFault) -> Host {
        if text.first == UInt8(ascii: "[") {
            let inner = text.dropFirst().dropLast()
            guard case .v6(let bits)? = IPAddress(String(Substring(inner))) else { throw .malformed }
            return .address(.v6(bits))
        }
        let name = Substring(text).lowercased()
        guard 1...253 ~= name.utf8.count else { throw .malformed }
        let labels = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard let last = labels.last, labels.allSatisfy(isLabel) else { throw .malformed }
        guard isNumeric(last) else { return .name(name) }
        // Resolvers take `127.1`, `0x7f.1` and `2130706433` for addresses; one spelling is enough.
        guard let address = IPAddress(name) else { throw .malformed }
        return .address(address)
    }

    private static func isLabel(_ label: Substring.UTF8View) -> Bool {
        1...63 ~= label.count
            && label.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    /// Whether a last label makes the host an attempt at an IPv4 address: digits, or `0x` with or without digits.
    private static func isNumeric(_ label: Substring.UTF8View) -> Bool {
        if label.starts(with: "0x".utf8) {
            return label.dropFirst(2).allSatisfy { $0.hexValue != nil }
        }
        return label.allSatisfy(\.isDigit)
    }

    /// `rest`: what follows the authority.
    private static func target(_ rest: Substring.UTF8View) -> String {
        let target = String(Substring(rest.prefix { $0 != UInt8(ascii: "#") }))
        return target.utf8.first == UInt8(ascii: "/") ? target : "/" + target
    }
}

// MARK: - Judgement

extension ReceiverURL {
    /// `localhost` is judged as the two addresses it means, one of which must be permitted; names below it, and the
    /// names that clouds and companies reserve below `internal`, never pass.
    private static func judge(_ host: Host, port: UInt16, policy: AddressPolicy) throws(ReceiverURLFault) {
        switch host {
        case .address(let address):
            guard policy.permits(address, port: port) else { throw .forbiddenAddress }
        case .name("localhost"):
            guard policy.permits(.loopbackV4, port: port) || policy.permits(.loopbackV6, port: port) else {
                throw .forbiddenHost
            }
        case .name(let name):
            guard name != "internal", !name.hasSuffix(".internal"), !name.hasSuffix(".localhost") else {
                throw .forbiddenHost
            }
        }
    }
}

extension ReceiverURL {
    /// Tells URLs of one origin apart without keeping them: FNV-1a over what precedes the query, which often names the
    /// single message. Equal on all nodes and builds.
    package static func fingerprint(of text: String) -> Int64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 {
            if byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#") { break }
            hash = (hash ^ UInt64(byte)) &* 0x0100_0000_01B3
        }
        return Int64(bitPattern: hash)
    }
}
