import ReenvioModel
import Testing

/// The parameters of the list of logs (`docs/contract.md` 7.1 and 7.4).
struct ResendLogQueryTests {
    private typealias Parameters = [(name: String, value: String)]

    private static func faults(_ parameters: Parameters) -> [String: [String]]? {
        do {
            _ = try ResendLogQuery(parameters)
            return nil
        } catch {
            return Dictionary(uniqueKeysWithValues: error.entries.map { ($0.field, $0.texts) })
        }
    }

    private static func parse(_ text: String) -> Parameters {
        text.split(separator: "&").map { pair in
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            return (sides[0], sides.count > 1 ? sides[1] : "")
        }
    }

    @Test("nothing asked for is the first page of twenty")
    func defaults() throws {
        #expect(try ResendLogQuery([]) == ResendLogQuery(limit: 20, direction: .next))
    }

    @Test("everything is read, in any order")
    func reads() throws {
        let query = try ResendLogQuery(
            Self.parse(
                "limit=100&status=FAILED&object_reference_id=5&account_mirror_id=-1&cursor_id=7890"
                    + "&cursor_direction=PREVIOUS&cursor_datetime=2026-05-12T07:30:00-03:00"))
        let cursor = ResendLogQuery.Cursor(createdAt: Timestamp(seconds: 1_778_581_800), id: 7_890)
        let filters = ResendLogQuery.Filters(status: .failed, objectID: 5, mirrorID: -1)
        #expect(query == ResendLogQuery(filters: filters, limit: 100, cursor: cursor, direction: .previous))
        for status in ResendLog.Status.allCases {
            #expect(try ResendLogQuery([("status", status.rawValue)]).filters.status == status)
        }
        // A plus sign that was not escaped is decoded as a blank.
        for date in [
            "2026-05-12T10:30:00Z", "2026-05-12T10:30:00.000Z", "2026-05-12T10:30:00+00:00",
            "2026-05-12T10:30:00 00:00", "2026-05-12T13:30:00.000 03:00",
        ] {
            let query = try ResendLogQuery([("cursor_datetime", date), ("cursor_id", "7890")])
            #expect(query.cursor == cursor)
        }
        #expect(try ResendLogQuery([("limit", "1")]).limit == 1)
    }

    private static let half = "is required with"
    private static let date = "must be an RFC 3339 date with a zone."

    @Test(
        "each fault is named, on the parameter that has it",
        arguments: [
            ("limit=0", "limit", "must be between 1 and 100."), ("limit=101", "limit", "must be between 1 and 100."),
            ("limit=-1", "limit", "must be between 1 and 100."), ("limit=abc", "limit", "must be an integer."),
            ("limit=1.0", "limit", "must be an integer."), ("limit=1e1", "limit", "must be an integer."),
            ("limit=", "limit", "must not be empty."), ("limit", "limit", "must not be empty."),
            ("limit=1&limit=1", "limit", "must be given only once."),
            ("limit=&limit=1", "limit", "must be given only once."),
            ("status=failed", "status", "is invalid."), ("status=Failed", "status", "is invalid."),
            ("status=", "status", "must not be empty."), ("status=FAILED&status=FAILED", "status", "only once."),
            ("object_reference_id=x", "object_reference_id", "must be an integer."),
            ("object_reference_id=0", "object_reference_id", "must be between 1 and"),
            ("object_reference_id=9223372036854775808", "object_reference_id", "must be an integer."),
            ("object_reference_id=", "object_reference_id", "must not be empty."),
            ("account_mirror_id=4x", "account_mirror_id", "must be an integer."),
            ("account_mirror_id=1&account_mirror_id=2", "account_mirror_id", "only once."),
            ("cursor_id=5", "cursor_datetime", half), ("cursor_datetime=2026-05-12T10:30:00Z", "cursor_id", half),
            ("cursor_id=5&cursor_datetime=2026-05-12T10:30:00", "cursor_datetime", date),
            ("cursor_id=5&cursor_datetime=2026-05-12 10:30:00Z", "cursor_datetime", date),
            ("cursor_id=5&cursor_datetime=2026-05-12", "cursor_datetime", date),
            ("cursor_id=5&cursor_datetime=2026-05-12T10:30:00  00:00", "cursor_datetime", date),
            ("cursor_id=5&cursor_datetime=2026-05-12T10:30:00 0000", "cursor_datetime", date),
            ("cursor_id=5&cursor_datetime=2026-05-12 10:30", "cursor_datetime", date),
            ("status[]=FAILED", "status[]", "The status[] parameter is not known."),
            ("LIMIT=3&LIMIT=", "LIMIT", "The LIMIT parameter is not known."),
            ("page=2", "page", "The page parameter is not known."),
            ("cursor_id=5&cursor_datetime=2026-02-30T10:30:00Z", "cursor_datetime", date),
            ("cursor_id=5&cursor_datetime=", "cursor_datetime", "must not be empty."),
            ("cursor_id=x&cursor_datetime=2026-05-12T10:30:00Z", "cursor_id", "must be an integer."),
            ("cursor_direction=PREVIOUS", "cursor_direction", "requires cursor_datetime and cursor_id."),
            ("cursor_direction=next", "cursor_direction", "is invalid."),
            ("cursor_direction=", "cursor_direction", "must not be empty."),
        ])
    func faulty(_ query: String, _ field: String, _ text: String) {
        let faults = Self.faults(Self.parse(query))
        #expect(faults?.count == 1, "\(query)")
        #expect(faults?[field]?.count == 1)
        #expect(faults?[field]?.first?.hasSuffix(text) == true || faults?[field]?.first?.contains(text) == true)
    }

    @Test("all faults are named at once")
    func together() {
        let faults = Self.faults(Self.parse("limit=0&status=done&cursor_id=1&account_mirror_id="))
        #expect(faults.map { Set($0.keys) } == ["limit", "status", "cursor_datetime", "account_mirror_id"])
        let previous = Self.faults(Self.parse("cursor_direction=PREVIOUS&cursor_id=1"))
        #expect(previous.map { Set($0.keys) } == ["cursor_datetime"])
    }

    @Test("a link has the order of the contract, and the filters that were given")
    func links() {
        let cursor = ResendLogQuery.Cursor(createdAt: Timestamp(seconds: 1_778_581_800), id: 7_890)
        func text(_ query: ResendLogQuery, _ direction: ResendLogQuery.Direction) -> String {
            query.link(from: cursor, direction).map { "\($0.name)=\($0.value)" }.joined(separator: "&")
        }
        let base = "cursor_datetime=2026-05-12T10:30:00Z&cursor_id=7890&cursor_direction="
        #expect(text(ResendLogQuery(), .next) == base + "NEXT&limit=20")
        let filters = ResendLogQuery.Filters(status: .completed, objectID: 5, mirrorID: 42)
        #expect(
            text(ResendLogQuery(filters: filters, limit: 7), .previous)
                == base + "PREVIOUS&limit=7&status=COMPLETED&object_reference_id=5&account_mirror_id=42")
    }
}
