extension ReceiverURL {
    /// One text for all spellings of the same URL (RFC 3986 6.2): scheme and host in lower case, the port always there,
    /// escapes in upper case and none for what needs none, a path that is at least a slash, no fragment.
    package var identity: String { origin + Self.normal(target) }

    /// The same of a URL that was stored; a text that is none any more stands for itself.
    package static func identity(of text: String) -> String {
        // Whether an address is allowed does not matter here.
        let anywhere = AddressPolicy(allowed: ["0.0.0.0/0", "::/0"].compactMap { CIDR($0) }, allowHTTP: true)
        return (try? ReceiverURL(parsing: text, policy: anywhere))?.identity ?? text
    }

    private static func normal(_ target: String) -> String {
        guard target.utf8.contains(UInt8(ascii: "%")) else { return target }
        var out: [UInt8] = []
        var rest = target.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%"), let escaped = escaped(rest.prefix(2)) else {
                out.append(byte)
                continue
            }
            out += escaped
            rest = rest.dropFirst(2)
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// What stands for an escape with these two digits; nil where they are none.
    private static func escaped(_ digits: Substring.UTF8View) -> [UInt8]? {
        let values = digits.compactMap(\.hexValue)
        guard digits.count == 2, values.count == 2 else { return nil }
        let byte = values[0] << 4 | values[1]
        let isUnreserved =
            byte.isDigit || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || "-._~".utf8.contains(byte)
        return isUnreserved ? [byte] : Array("%\(Substring(digits).uppercased())".utf8)
    }
}
