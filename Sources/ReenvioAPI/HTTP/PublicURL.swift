import Synchronization

/// The base of the links in answers: from the settings, or the address really bound, never from a request's headers
/// (`docs/contract.md` 7.4).
package final class PublicURL: Sendable {
    private let base: Mutex<String>

    /// With nil, `bound` sets it once the server listens.
    package init(_ configured: String? = nil) {
        base = Mutex(configured.map { String($0.hasSuffix("/") ? $0.dropLast() : $0[...]) } ?? "")
    }

    package func bound(_ address: String, isTLS: Bool) {
        base.withLock { base in
            if base.isEmpty { base = (isTLS ? "https://" : "http://") + address }
        }
    }

    package func link(_ path: String, _ parameters: [(name: String, value: String)]) -> String {
        let query = parameters.map { "\($0.name)=\(QueryString.encode($0.value))" }.joined(separator: "&")
        return base.withLock { $0 } + path + (query.isEmpty ? "" : "?" + query)
    }

    /// The link to the next page of a list walked by cursor, with the same filters; nil after the last page.
    package func next(_ path: String, _ call: Call, cursor: String?, filters: [String]) -> String? {
        guard let cursor else { return nil }
        let kept = call.query.filter { !$0.value.isEmpty && (filters.contains($0.name) || $0.name == "limit") }
        return link(path, kept + [("cursor", cursor)])
    }
}

extension PublicURL {
    /// Whether the outside reaches the server by https.
    package var isTLS: Bool { link("", []).hasPrefix("https://") }
}
