/// What a resend may ask for beyond the published contract; absent, it is the published one (`docs/contract.md` 13).
package struct ResendOptions: Equatable, Sendable {
    /// Only payouts whose latest notification has not been acknowledged (`docs/contract.md` 13.5).
    package var onlyUnacknowledged: Bool
    /// Attempts a second, over all nodes; nil for no bound (`docs/contract.md` 13.6).
    package var maxPerSecond: Int64?
    /// How many go first, before it is decided whether the rest follows (`docs/contract.md` 13.14).
    package var canary: Int64?

    package init(onlyUnacknowledged: Bool = false, maxPerSecond: Int64? = nil, canary: Int64? = nil) {
        self.onlyUnacknowledged = onlyUnacknowledged
        self.maxPerSecond = maxPerSecond
        self.canary = canary
    }

    /// Faults go to `fields`; what is wrong reads as absent.
    static func read(_ fields: inout FieldReader) -> ResendOptions {
        ResendOptions(
            onlyUnacknowledged: fields.boolean("only_unacknowledged") ?? false,
            maxPerSecond: fields.maxPerSecond(), canary: fields.integer("canary", in: 1...Limits.canaryMax))
    }

    /// The words of an audit row; empty where nothing was asked for.
    package var auditText: String {
        var text = ""
        if onlyUnacknowledged { text += ", only unacknowledged" }
        if let maxPerSecond { text += ", at most \(maxPerSecond) per second" }
        if let canary { text += ", canary \(canary)" }
        return text
    }
}

extension FieldReader {
    /// The pace of a resend of either dialect (`docs/contract.md` 13.6).
    mutating func maxPerSecond() -> Int64? {
        integer("max_per_second", in: 1...Limits.paceMax)
    }
}
