/// The checked body of `POST /v2/payout/notifications/resend` (`docs/contract.md` 4.1). Whose merchant it names is not
/// judged here.
package struct ResendRequest: Equatable, Sendable {
    package var merchantID: Int64
    package var window: ResendWindow
    package var product: ResendProduct
    /// Ids of the product's statuses.
    package var statuses: [Int64]
    package var dryRun: Bool
    /// A dry run that says why (`docs/contract.md` 13.7).
    package var explains: Bool
    package var options: ResendOptions

    package init(
        merchantID: Int64, window: ResendWindow, product: ResendProduct, statuses: [Int64], dryRun: Bool = false,
        explains: Bool = false, options: ResendOptions = ResendOptions()
    ) {
        self.merchantID = merchantID
        self.window = window
        self.product = product
        self.statuses = statuses
        self.dryRun = dryRun
        self.explains = explains
        self.options = options
    }

    /// A resend of payouts.
    package init(
        merchantID: Int64, window: ResendWindow, statuses: [PayoutStatus], dryRun: Bool = false,
        options: ResendOptions = ResendOptions()
    ) {
        self.init(
            merchantID: merchantID, window: window, product: .payout, statuses: statuses.map(\.id), dryRun: dryRun,
            options: options)
    }

    /// What a body yields: the request where nothing is wrong with it, its faults, and the merchant it names in any
    /// case, so that the caller can add whether that merchant is its own and still answer everything at once.
    package struct Reading {
        package var request: ResendRequest?
        package var faults: Faults
        package var merchantID: Int64?
    }

    package static func read(_ object: JSONObject, of product: ResendProduct = .payout) -> Reading {
        var fields = FieldReader(object)
        let merchantID = fields.integer("merchant_id", required: true)
        let window = ResendWindow.read(&fields)
        let statuses = readStatuses(&fields, of: product)
        let dryRun = fields.boolean("dry_run") ?? false
        let explains = fields.boolean("explain") ?? false
        let options = ResendOptions.read(&fields)
        guard fields.faults.isEmpty, let merchantID, let window, let statuses else {
            return Reading(request: nil, faults: fields.faults, merchantID: merchantID)
        }
        let request = ResendRequest(
            merchantID: merchantID, window: window, product: product, statuses: statuses, dryRun: dryRun,
            explains: explains, options: options)
        return Reading(request: request, faults: Faults(), merchantID: merchantID)
    }

    /// Absent or null means every notifiable status; duplicates collapse.
    static func readStatuses(_ fields: inout FieldReader, of product: ResendProduct) -> [Int64]? {
        guard let value = fields.value("status_ids") else { return product.notifiable }
        guard case .array(let items) = value, !items.isEmpty else {
            fields.fault("status_ids", "The status_ids field must be a non-empty array.")
            return nil
        }
        var statuses: [Int64] = []
        for (index, item) in items.enumerated() {
            guard case .number(let number) = item, let id = number.integer else {
                fields.fault("status_ids.\(index)", "The status_ids.\(index) field must be an integer.")
                continue
            }
            guard product.notifiable.contains(id) else {
                fields.fault("status_ids.\(index)", "The selected status is not notifiable.")
                continue
            }
            if !statuses.contains(id) { statuses.append(id) }
        }
        return statuses
    }
}

/// A span of whole seconds, both ends included (`docs/contract.md` 4.2).
package struct ResendWindow: Hashable, Sendable {
    package var startSeconds: Int64
    package var endSeconds: Int64

    package init(startSeconds: Int64, endSeconds: Int64) {
        self.startSeconds = startSeconds
        self.endSeconds = endSeconds
    }

    package func contains(_ second: Int64) -> Bool {
        (startSeconds...endSeconds).contains(second)
    }

    /// The rules of v2: both times present and real, the end after the start, at most 3 hours later. The range rules
    /// run only when both times parse; an end in the future is allowed.
    package static func read(
        _ fields: inout FieldReader, longest: Int64 = Limits.resendWindowSeconds,
        _ tooLong: String = "The time range must not exceed 3 hours."
    ) -> ResendWindow? {
        let start = time("start_time", &fields)
        let end = time("end_time", &fields)
        guard let start, let end else { return nil }
        if end <= start {
            fields.fault("end_time", "The end_time field must be after start_time.")
            return nil
        }
        if end - start > longest {
            fields.fault("end_time", tooLong)
            return nil
        }
        return ResendWindow(startSeconds: start, endSeconds: end)
    }

    /// The window of a question that may have none: both times or neither (`docs/contract.md` 13.15).
    package static func optional(_ parameters: [(name: String, value: String)]) throws(Faults) -> ResendWindow? {
        let names = ["start_time", "end_time"]
        try QueryReader(parameters, known: names).throwFaults()
        let times = parameters.filter { names.contains($0.name) && !$0.value.isEmpty }
        if times.isEmpty { return nil }
        var object = JSONObject()
        for (name, value) in times { _ = object.insert(name, .string(value)) }
        var fields = FieldReader(object)
        let window = read(&fields)
        try fields.throwFaults()
        return window
    }

    private static func time(_ key: String, _ fields: inout FieldReader) -> Int64? {
        guard let text = fields.string(key, required: true) else { return nil }
        if let moment = TimeText.parsePlain(text) { return moment.seconds }
        fields.fault(key, "The \(key) field must match the format YYYY-MM-DD HH:MM:SS.")
        return nil
    }

    /// How a count splits a window: the whole minutes that counters answer, and the edges that the index answers.
    package struct Parts: Equatable, Sendable {
        /// Minute numbers since the epoch; nil when no whole minute lies inside.
        package var minutes: ClosedRange<Int64>?
        /// Seconds, both ends included.
        package var edges: [ClosedRange<Int64>]

        package init(minutes: ClosedRange<Int64>?, edges: [ClosedRange<Int64>]) {
            self.minutes = minutes
            self.edges = edges
        }
    }

    package var parts: Parts {
        let first = Self.floorDivide(startSeconds + 59, by: 60)
        let last = Self.floorDivide(endSeconds + 1, by: 60) - 1
        guard first <= last else { return Parts(minutes: nil, edges: [startSeconds...endSeconds]) }
        var edges: [ClosedRange<Int64>] = []
        if startSeconds < first * 60 { edges.append(startSeconds...first * 60 - 1) }
        if (last + 1) * 60 <= endSeconds { edges.append((last + 1) * 60...endSeconds) }
        return Parts(minutes: first...last, edges: edges)
    }

    package static func minute(ofSecond second: Int64) -> Int64 {
        floorDivide(second, by: 60)
    }

    private static func floorDivide(_ value: Int64, by divisor: Int64) -> Int64 {
        value >= 0 ? value / divisor : (value - divisor + 1) / divisor
    }
}
