/// Why a text is not the URL of a receiver.
package enum ReceiverURLFault: Error, Hashable, CaseIterable {
    /// Not `scheme://...`.
    case malformed
    /// A blank, a control character, a backslash, or a percent sign within the host.
    case blanks
    /// A scheme other than https (or http, where the policy allows it).
    case notHTTPS
    /// Something before an `@`, even nothing.
    case userInfo
    /// Nothing between `//` and the path or port.
    case hostMissing
    /// A host that is neither a name nor an address in its one canonical spelling.
    case hostSpelling
    /// A port other than 1...65535 in plain digits.
    case port
    /// A name that is local by definition.
    case forbiddenHost
    /// A literal address that the policy forbids.
    case forbiddenAddress
    /// A port that the policy forbids, whatever the name resolves to.
    case forbiddenPort

    /// What the URL must be, as it follows "The X field" or the name of a setting.
    package var rule: String {
        switch self {
        case .malformed: "must be an absolute URL such as https://shop.example/webhooks"
        case .blanks: "must not contain blanks, control characters or backslashes"
        case .notHTTPS: "must be an https URL"
        case .userInfo: "must not contain user info"
        case .hostMissing: "must be a URL with a host"
        case .hostSpelling: "must be a URL whose host is a domain name or an IP address in its usual spelling"
        case .port: "must be a URL with a port from 1 to 65535"
        case .forbiddenPort: "must be a URL with a port that is delivered to, such as 443"
        case .forbiddenHost, .forbiddenAddress: "must be an https URL with a public host"
        }
    }
}

/// Where notifications are sent: an absolute https URL of a public host, judged by its syntax and its literal address
/// (`docs/contract.md` 2.1 and 3.3). What a name resolves to is judged when a connection is made.
///
/// Our own parser, because what was judged must be what is dialled: it takes only spellings on which all parsers agree
/// and refuses the others. A host in other scripts becomes its A-labels (`DomainName`), and what RFC 3986 does not
/// allow in a path or query is percent-encoded, so all parts but `text` hold visible ASCII only: none can break out of
/// a request line or header.
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
    /// Path and query, percent-encoded where they must be; starts with `/`. The fragment is dropped.
    package let target: String
    /// The URL as given: what is stored and answered.
    package let text: String
    /// The value of the `Host` header: without the default port.
    package let hostHeader: String

    /// Scheme, host and port, always with the port: what makes a receiver (`docs/contract.md` 13.11).
    package var origin: String {
        "\(scheme.rawValue)://\(host.description):\(port)"
    }

    /// The length of the text is not judged here.
    package init(parsing text: String, policy: AddressPolicy) throws(ReceiverURLFault) {
        guard !text.unicodeScalars.contains(where: Self.isBlank) else { throw .blanks }
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
            guard let bracket = authority.firstIndex(of: UInt8(ascii: "]")) else { throw .hostSpelling }
            hostEnd = authority.index(after: bracket)
        }
        let rest = authority[hostEnd...]
        guard let colon = rest.first else { return (authority, nil) }
        guard colon == UInt8(ascii: ":") else { throw .hostSpelling }
        return (authority[..<hostEnd], rest.dropFirst())
    }

    static func readPort(_ text: Substring.UTF8View) throws(ReceiverURLFault) -> UInt16 {
        guard let number = readDecimal(text, digits: 5), let port = UInt16(exactly: number), port > 0 else {
            throw .port
        }
        return port
    }

    static func readHost(_ text: Substring.UTF8View) throws(ReceiverURLFault) -> Host {
        if text.isEmpty { throw .hostMissing }
        if text.first == UInt8(ascii: "[") {
            let inner = text.dropFirst().dropLast()
            guard case .v6(let bits)? = IPAddress(String(Substring(inner))) else { throw .hostSpelling }
            return .address(.v6(bits))
        }
        guard let name = DomainName.ascii(String(Substring(text))), 1...253 ~= name.utf8.count else {
            throw .hostSpelling
        }
        let labels = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard let last = labels.last, labels.allSatisfy(isLabel) else { throw .hostSpelling }
        guard isNumeric(last) else { return .name(name) }
        // Resolvers take `127.1`, `0x7f.1` and `2130706433` for addresses, and other scripts have digits of their own:
        // one spelling is enough.
        guard let address = IPAddress(name), text.allSatisfy({ $0 < 0x80 }) else { throw .hostSpelling }
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

    /// Blanks and control characters of every script, and the backslash, which some parsers take for a slash.
    private static func isBlank(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return scalar.value <= 0x20 || scalar.value == 0x7F || scalar == "\\" }
        return scalar.properties.isWhitespace || scalar.properties.generalCategory == .control
    }

    /// `rest`: what follows the authority.
    private static func target(_ rest: Substring.UTF8View) -> String {
        let given = rest.prefix { $0 != UInt8(ascii: "#") }
        let target = given.first == UInt8(ascii: "/") ? encode(given) : "/" + encode(given)
        return target
    }

    /// Percent-encodes what RFC 3986 does not allow in a path or query, and a percent sign that begins no escape.
    private static func encode(_ text: Substring.UTF8View) -> String {
        var encoded: [UInt8] = []
        encoded.reserveCapacity(text.count)
        for (index, byte) in zip(text.indices, text) {
            let isPlain =
                byte == UInt8(ascii: "%")
                ? text[index...].dropFirst().prefix(2).count { $0.hexValue != nil } == 2
                : 0x21...0x7E ~= byte && !unsafe.contains(byte)
            if isPlain {
                encoded.append(byte)
            } else {
                encoded += [UInt8(ascii: "%"), hexDigits[Int(byte >> 4)], hexDigits[Int(byte & 15)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    private static let unsafe = Set(#""<>[]^`{|}"#.utf8)
    private static let hexDigits = Array("0123456789ABCDEF".utf8)
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
            guard policy.mayPermit(port: port) else { throw .forbiddenPort }
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
