/// What `GET /v2/payout/payments` asks for (`docs/contract.md` 2.3), checked as a whole.
package struct PayoutQuery: Equatable, Sendable {
    package enum SortKey: String, Sendable, CaseIterable {
        case id
        case createdAt = "created_at"
        case updatedAt = "updated_at"
        case amount
    }

    package static let pageSizeDefault: Int64 = 15
    package static let pageSizeMax: Int64 = 100
    /// The deepest row that a page may reach: `page` x `per_page`.
    package static let depthMax: Int64 = 100_000

    /// Every parameter that the list takes.
    package static let names = filterNames + ["page"]
    /// What a link to another page keeps.
    package static let filterNames = [
        "merchant_id", "external_id", "invoice", "status_id", "created_at_start", "created_at_end", "updated_at_start",
        "updated_at_end", "per_page", "sort_by", "sort_order",
    ]

    package var merchantID: Int64?
    package var invoice: String?
    package var status: PayoutStatus?
    /// Moments from the start of the first day up to, not including, the day after the last.
    package var created: Days
    package var updated: Days
    package var page: Int64
    package var perPage: Int64
    package var sortKey: SortKey
    package var isDescending: Bool

    /// A span of whole UTC days, open where a bound is nil.
    package struct Days: Equatable, Sendable {
        package var from: Timestamp?
        package var before: Timestamp?
    }

    package var offset: Int64 { (page - 1) * perPage }

    /// Reads decoded query parameters; an empty value counts as absent, of a repeated one the last counts.
    /// - Throws: every fault at once.
    package init(_ parameters: [(name: String, value: String)]) throws(Faults) {
        var reader = QueryReader(parameters, known: Self.names)
        merchantID = reader.integer("merchant_id")
        invoice = reader.invoice()
        status = reader.status()
        created = reader.days("created_at")
        updated = reader.days("updated_at")
        page = reader.integer("page", in: 1...Self.depthMax) ?? 1
        perPage = reader.integer("per_page", in: 1...Self.pageSizeMax) ?? Self.pageSizeDefault
        sortKey = reader.choice("sort_by", SortKey.allCases.map(\.rawValue)).flatMap(SortKey.init) ?? .id
        isDescending = reader.choice("sort_order", ["asc", "desc"]) != "asc"
        if page * perPage > Self.depthMax {
            reader.faults.add("page", "The page field times per_page must not be greater than \(Self.depthMax).")
        }
        if !reader.faults.isEmpty { throw reader.faults }
    }
}

extension QueryReader {
    /// `external_id`, or its alias `invoice`.
    fileprivate mutating func invoice() -> String? {
        let texts = ["external_id", "invoice"].map { text($0) }
        return texts[0] ?? texts[1]
    }

    fileprivate mutating func status() -> PayoutStatus? {
        guard let id = integer("status_id") else { return nil }
        if let status = PayoutStatus(id: id) { return status }
        faults.add("status_id", "The selected status_id is invalid.")
        return nil
    }

    fileprivate mutating func days(_ name: String) -> PayoutQuery.Days {
        let from = day("\(name)_start")
        let through = day("\(name)_end")
        return PayoutQuery.Days(from: from, before: through.map { $0 + .seconds(86_400) })
    }
}
