/// A W3C `traceparent`: which trace a request belongs to, and which step of it sent it.
package struct TraceParent: Sendable, Equatable {
    /// 32 lower-case hex digits.
    package var traceID: String
    /// 16 lower-case hex digits.
    package var spanID: String
    package var isSampled: Bool

    package init(traceID: String, spanID: String, isSampled: Bool) {
        self.traceID = traceID
        self.spanID = spanID
        self.isSampled = isSampled
    }

    /// Nil for what the recommendation tells to ignore: another form, version ff, ids of zeros only.
    package init?(_ header: String) {
        let parts = header.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count >= 4, parts[0] != "ff", parts[0] != "00" || parts.count == 4,
            [2, 32, 16, 2] == parts.prefix(4).map(\.utf8.count), parts.prefix(4).allSatisfy(Self.isHex),
            parts[1].contains(where: { $0 != "0" }), parts[2].contains(where: { $0 != "0" }),
            let flags = UInt8(parts[3], radix: 16)
        else { return nil }
        self.init(traceID: String(parts[1]), spanID: String(parts[2]), isSampled: flags & 1 == 1)
    }

    private static func isHex(_ text: Substring) -> Bool {
        text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// The same trace, sent on by another step.
    package func from(spanID: String) -> TraceParent {
        TraceParent(traceID: traceID, spanID: spanID, isSampled: isSampled)
    }

    /// As it is stored: the ids and the flags, 25 bytes.
    package var bytes: [UInt8] {
        (Hex.bytes(traceID) ?? []) + (Hex.bytes(spanID) ?? []) + [isSampled ? 1 : 0]
    }

    /// Nil for what `bytes` did not write.
    package init?(bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        self.init(traceID: Hex.text(bytes[..<16]), spanID: Hex.text(bytes[16..<24]), isSampled: bytes[24] & 1 == 1)
    }

    private static let byteCount = 25

    package var text: String { "00-\(traceID)-\(spanID)-\(isSampled ? "01" : "00")" }
}
