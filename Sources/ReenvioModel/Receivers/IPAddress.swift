/// An IPv4 or IPv6 address, as a number in host byte order.
package enum IPAddress: Hashable, Sendable {
    case v4(UInt32)
    case v6(UInt128)

    /// Reads the two textual forms that have one meaning only: four decimal numbers without leading zeros, or IPv6 as
    /// in RFC 4291 (with `::` and a trailing IPv4 part), without brackets and zone. Nil for everything else.
    package init?(_ text: String) {
        if text.utf8.contains(UInt8(ascii: ":")) {
            guard let bits = readV6(text.utf8[...]) else { return nil }
            self = .v6(bits)
        } else {
            guard let bits = readV4(text.utf8[...]) else { return nil }
            self = .v4(bits)
        }
    }

    /// Takes the bytes of an address in network order: 4 or 16 of them, nil for any other number.
    package init?(bytes: some Collection<UInt8>) {
        switch bytes.count {
        case 4: self = .v4(bytes.reduce(0) { $0 << 8 | UInt32($1) })
        case 16: self = .v6(bytes.reduce(0) { $0 << 8 | UInt128($1) })
        default: return nil
        }
    }

    /// The address in network order: 4 or 16 bytes.
    package var bytes: [UInt8] {
        switch self {
        case .v4(let bits): (0..<4).map { UInt8(truncatingIfNeeded: bits >> (24 - 8 * $0)) }
        case .v6(let bits): (0..<16).map { UInt8(truncatingIfNeeded: bits >> (120 - 8 * $0)) }
        }
    }

    /// The IPv4 address that an IPv4-mapped (`::ffff:0:0/96`) or NAT64 (`64:ff9b::/96`) address stands for; every other
    /// address itself.
    package var unwrapped: IPAddress {
        guard case .v6(let bits) = self else { return self }
        let prefix = bits >> 32
        return prefix == Self.mappedPrefix || prefix == Self.nat64Prefix ? .v4(UInt32(truncatingIfNeeded: bits)) : self
    }

    /// `0.0.0.0` or `::`: every address of this machine to a listener, this machine to a caller.
    package var isUnspecified: Bool {
        self == .v4(0) || self == .v6(0)
    }

    package var isLoopback: Bool {
        switch self {
        case .v4(let bits): bits >> 24 == 127
        case .v6(let bits): bits == 1
        }
    }

    static let loopbackV4 = IPAddress.v4(0x7F00_0001)
    static let loopbackV6 = IPAddress.v6(1)

    private static let mappedPrefix: UInt128 = 0xFFFF
    private static let nat64Prefix: UInt128 = 0x0064_FF9B << 64
}

extension IPAddress: CustomStringConvertible {
    /// Dotted quad, or RFC 5952: lower case, the longest run of zeros as `::`, and what stands for an IPv4 address with
    /// that address at its end.
    package var description: String {
        switch (self, unwrapped) {
        case (.v4(let bits), _): describeV4(bits)
        case (.v6(let bits), .v4(let inner)):
            (bits >> 32 == Self.mappedPrefix ? "::ffff:" : "64:ff9b::") + describeV4(inner)
        case (.v6(let bits), .v6): describeV6(bits)
        }
    }
}

/// A block of addresses. Bits below the prefix are ignored; an address alone is a block of one.
package struct CIDR: Hashable, Sendable {
    /// The first address of the block.
    package let network: IPAddress
    /// Bits that are fixed: 0...32 or 0...128.
    package let prefixLength: Int

    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(String(parts[0])) else { return nil }
        guard parts.count == 2 else {
            self.init(address, prefixLength: address.width)
            return
        }
        guard let length = readDecimal(parts[1].utf8, digits: 3), length <= address.width else { return nil }
        self.init(address, prefixLength: length)
    }

    /// `prefixLength` at most the width of the address.
    init(_ address: IPAddress, prefixLength: Int) {
        network = address.masked(to: prefixLength)
        self.prefixLength = prefixLength
    }

    /// Whether the block is a single address.
    package var isSingle: Bool {
        prefixLength == network.width
    }

    /// Whether `address` is in the block. An IPv4 block knows IPv4 addresses only: see `IPAddress.unwrapped`.
    package func contains(_ address: IPAddress) -> Bool {
        address.width == network.width && address.masked(to: prefixLength) == network
    }
}

extension CIDR: CustomStringConvertible {
    package var description: String {
        "\(network)/\(prefixLength)"
    }
}

extension IPAddress {
    fileprivate var width: Int {
        switch self {
        case .v4: 32
        case .v6: 128
        }
    }

    /// The address with all but its first `length` bits zero.
    fileprivate func masked(to length: Int) -> IPAddress {
        switch self {
        case .v4(let bits): .v4(bits & (.max << (32 - length)))
        case .v6(let bits): .v6(bits & (.max << (128 - length)))
        }
    }
}

// MARK: - Reading

/// A decimal number of 1 to `digits` digits without a leading zero.
func readDecimal(_ text: Substring.UTF8View, digits: Int) -> Int? {
    guard 1...digits ~= text.count, text.first != UInt8(ascii: "0") || text.count == 1 else { return nil }
    var number = 0
    for byte in text {
        guard byte.isDigit else { return nil }
        number = number * 10 + Int(byte - UInt8(ascii: "0"))
    }
    return number
}

private func readV4(_ text: Substring.UTF8View) -> UInt32? {
    let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var bits: UInt32 = 0
    for part in parts {
        guard let number = readDecimal(part, digits: 3), let byte = UInt8(exactly: number) else { return nil }
        bits = bits << 8 | UInt32(byte)
    }
    return bits
}

private func readV6(_ text: Substring.UTF8View) -> UInt128? {
    let colon = UInt8(ascii: ":")
    let gap = zip(text.indices, text.indices.dropFirst()).first { text[$0] == colon && text[$1] == colon }
    guard let gap else {
        guard let groups = readGroups(text, endsInV4: true), groups.count == 8 else { return nil }
        return number(groups)
    }
    // `::` stands for one group of zeros or more.
    guard let head = readGroups(text[..<gap.0], endsInV4: false),
        let tail = readGroups(text[gap.1...].dropFirst(), endsInV4: true),
        head.count + tail.count < 8
    else { return nil }
    return number(head) << (16 * (8 - head.count)) | number(tail)
}

/// Groups of one to four hexadecimal digits between colons; where it may, the text ends in an IPv4 address, which makes
/// two groups. No text is no groups.
private func readGroups(_ text: Substring.UTF8View, endsInV4: Bool) -> [UInt16]? {
    if text.isEmpty { return [] }
    var parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    var v4: [UInt16] = []
    if endsInV4, let last = parts.last, last.contains(UInt8(ascii: ".")) {
        guard let bits = readV4(last) else { return nil }
        v4 = [UInt16(bits >> 16), UInt16(truncatingIfNeeded: bits)]
        parts.removeLast()
    }
    var groups: [UInt16] = []
    for part in parts {
        guard 1...4 ~= part.count else { return nil }
        var group: UInt16 = 0
        for byte in part {
            guard let digit = byte.hexValue else { return nil }
            group = group << 4 | UInt16(digit)
        }
        groups.append(group)
    }
    return groups + v4
}

private func number(_ groups: [UInt16]) -> UInt128 {
    groups.reduce(0) { $0 << 16 | UInt128($1) }
}

// MARK: - Describing

private func describeV4(_ bits: UInt32) -> String {
    "\(bits >> 24).\(bits >> 16 & 0xFF).\(bits >> 8 & 0xFF).\(bits & 0xFF)"
}

private func describeV6(_ bits: UInt128) -> String {
    let groups = (0..<8).map { UInt16(truncatingIfNeeded: bits >> (112 - 16 * $0)) }
    // The first of the longest runs of two zero groups or more (RFC 5952, 4.2).
    var gap = 0..<1
    var start = 0
    for (position, group) in groups.enumerated() {
        if group != 0 { start = position + 1 }
        if position + 1 - start > gap.count { gap = start..<position + 1 }
    }
    func text(_ part: ArraySlice<UInt16>) -> String {
        part.map { String($0, radix: 16) }.joined(separator: ":")
    }
    return gap.count < 2 ? text(groups[...]) : text(groups[..<gap.lowerBound]) + "::" + text(groups[gap.upperBound...])
}
