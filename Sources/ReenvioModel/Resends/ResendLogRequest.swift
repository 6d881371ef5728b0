/// The checked body of `POST /v3/webhooks/resend` (`docs/contract.md` 6.1 to 6.3). Whether object and account exist,
/// and are the user's to resend, is not judged here.
package struct ResendLogRequest: Equatable, Sendable {
    /// Dates and account come together.
    package struct Range: Equatable, Sendable {
        package var account: AccountName
        package var window: ResendWindow

        package init(account: AccountName, window: ResendWindow) {
            self.account = account
            self.window = window
        }
    }

    package var category: EventCategory
    /// Nil for all objects of the range.
    package var objectID: Int64?
    /// Nil for one object alone.
    package var range: Range?
    /// Attempts a second, over all nodes; nil for no bound (`docs/contract.md` 13.6).
    package var maxPerSecond: Int64?

    package init(category: EventCategory, objectID: Int64?, range: Range?, maxPerSecond: Int64? = nil) {
        self.category = category
        self.objectID = objectID
        self.range = range
        self.maxPerSecond = maxPerSecond
    }

    package static func parse(_ object: JSONObject) throws(Faults) -> ResendLogRequest {
        var fields = FieldReader(object)
        let category = fields.string("resend_type", required: true).flatMap { text -> EventCategory? in
            if let category = EventCategory(rawValue: text) { return category }
            fields.fault("resend_type", "The selected resend_type is invalid.")
            return nil
        }
        let objectID = fields.integer("object_reference_id")
        if let objectID, objectID <= 0 {
            fields.fault("object_reference_id", "The object_reference_id field must be greater than 0.")
        }
        let range = fields.range()
        let isObjectGiven = fields.value("object_reference_id") != nil
        if range == nil, !isObjectGiven, !fields.namesRange {
            fields.fault("object_reference_id", "The object_reference_id field is required without a date range.")
        }
        let maxPerSecond = fields.maxPerSecond()
        try fields.throwFaults()
        guard let category else { throw fields.faults }
        return ResendLogRequest(category: category, objectID: objectID, range: range, maxPerSecond: maxPerSecond)
    }
}

extension FieldReader {
    private static let rangeKeys = [
        AccountName.branchKey, AccountName.numberKey, "start_datetime", "end_datetime",
    ]

    /// Whether any part of a range is there, right or wrong.
    fileprivate var namesRange: Bool {
        Self.rangeKeys.contains { key in
            guard let value = value(key) else { return false }
            return value != .string("")
        }
    }

    /// Both dates and both account fields, or nothing of it.
    fileprivate mutating func range() -> ResendLogRequest.Range? {
        guard namesRange else { return nil }
        let branch = string(AccountName.branchKey, required: true)
        let number = string(AccountName.numberKey, required: true)
        let start = rfc3339("start_datetime", required: true)
        let end = rfc3339("end_datetime", required: true)
        if let start, let end {
            if end <= start {
                fault("end_datetime", "The end_datetime field must be after start_datetime.")
            } else if end - start > .seconds(Limits.logWindowSeconds) {
                fault("end_datetime", "The time range must not exceed 31 days.")
            }
        }
        guard let branch, let number, let start, let end else { return nil }
        return ResendLogRequest.Range(
            account: AccountName(branch: branch, number: number),
            window: ResendWindow(startSeconds: start.seconds, endSeconds: end.seconds))
    }
}
