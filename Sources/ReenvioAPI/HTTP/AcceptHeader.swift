/// What a client would rather have, as far as the server has a choice (RFC 9110 12.5.1).
enum AcceptHeader {
    /// Whether a page is wanted more than JSON: browsers say so, programs take anything or JSON.
    static func prefersHTML(_ header: String?) -> Bool {
        guard let header else { return false }
        let ranges = header.split(separator: ",").map(range)
        return quality("text", "html", ranges) > quality("application", "json", ranges)
    }

    private struct Range {
        var type: String
        var subtype: String
        var quality: Double
    }

    private static func range(_ text: Substring) -> Range {
        let parts = text.split(separator: ";").map { $0.filter { !$0.isWhitespace }.lowercased() }
        let names = (parts.first ?? "").split(separator: "/", maxSplits: 1).map(String.init)
        let quality = parts.dropFirst().first { $0.hasPrefix("q=") }.map { Double($0.dropFirst(2)) ?? 0 } ?? 1
        return Range(type: names.first ?? "", subtype: names.count > 1 ? names[1] : "", quality: quality)
    }

    /// That of the most specific range that fits; 0 where none does.
    private static func quality(_ type: String, _ subtype: String, _ ranges: [Range]) -> Double {
        let exact = ranges.first { $0.type == type && $0.subtype == subtype }
        let ofType = ranges.first { $0.type == type && $0.subtype == "*" }
        let any = ranges.first { $0.type == "*" && $0.subtype == "*" }
        return (exact ?? ofType ?? any)?.quality ?? 0
    }
}
