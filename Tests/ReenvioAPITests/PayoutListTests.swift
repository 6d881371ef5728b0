import Foundation
import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// `docs/contract.md` 2.3, and the merchant's cancel of 2.4.
struct PayoutListTests {
    private static let path = "/v2/payout/payments"

    /// The ids of a page, as they stand in its body.
    private static func ids(_ reply: APIFixture.Reply) throws -> [Int64] {
        guard case .object(let object) = try JSONParser.parse(Array(reply.body.utf8)),
            case .array(let data) = object["data"]
        else { return [] }
        return data.compactMap { item in
            guard case .object(let payout) = item, case .number(let id) = payout["id"] else { return nil }
            return id.integer
        }
    }

    private static func meta(_ reply: APIFixture.Reply) -> String {
        guard let start = reply.body.range(of: #""meta":"#)?.lowerBound else { return "" }
        return String(reply.body[start...])
    }

    @Test("pages of fifteen, newest id first, with meta and links key for key")
    func pages() async throws {
        try await APIFixture.run { api async throws in
            _ = try await api.store.createPayouts(32)
            let first = try await api.call(.get, Self.path)
            #expect(first.status == 200)
            #expect(try Self.ids(first) == Array((18...32).reversed()))
            #expect(
                Self.meta(first)
                    == #""meta":{"current_page":1,"from":1,"last_page":3,"per_page":15,"to":15,"total":32},"#
                    + #""links":{"first":"https://api.example.com/v2/payout/payments?page=1","#
                    + #""last":"https://api.example.com/v2/payout/payments?page=3","prev":null,"#
                    + #""next":"https://api.example.com/v2/payout/payments?page=2"}}"#)
            let last = try await api.call(.get, "\(Self.path)?page=3&sort_order=desc")
            #expect(try Self.ids(last) == [2, 1])
            #expect(last.body.contains(#""from":31,"last_page":3,"per_page":15,"to":32,"total":32"#))
            #expect(last.body.contains(#""prev":"https://api.example.com/v2/payout/payments?sort_order=desc&page=2""#))
            let beyond = try await api.call(.get, "\(Self.path)?page=4")
            #expect(beyond.body.hasPrefix(#"{"data":[],"meta":{"current_page":4,"from":null,"last_page":3,"#))
        }
    }

    @Test("an empty list has one page")
    func empty() async throws {
        try await APIFixture.run { api async throws in
            let reply = try await api.call(.get, Self.path)
            #expect(reply.body.contains(#""from":null,"last_page":1,"per_page":15,"to":null,"total":0"#))
        }
    }

    @Test("filters and orders")
    func filters() async throws {
        try await APIFixture.run { api async throws in
            let ids = try await api.store.createPayouts(3, now: Fixtures.start)
            try await api.store.report(.paid, [ids[1]], at: Fixtures.start + .seconds(86_400))
            _ = try await api.store.createPayouts(1, merchantID: APIFixture.otherMerchantID)
            func found(_ query: String) async throws -> [Int64] {
                try Self.ids(try await api.call(.get, "\(Self.path)?\(query)"))
            }
            #expect(try await found("") == [3, 2, 1], "another account's are not seen")
            #expect(try await found("sort_order=asc&per_page=2") == [1, 2])
            #expect(try await found("status_id=3") == [2])
            #expect(try await found("external_id=inv-0") == [1])
            #expect(try await found("invoice=inv-2") == [3])
            #expect(try await found("invoice=INV-2") == [])
            #expect(try await found("updated_at_start=2026-03-25") == [2])
            #expect(try await found("updated_at_end=2026-03-24") == [3, 1])
            #expect(try await found("created_at_start=2026-03-24&created_at_end=2026-03-24") == [3, 2, 1])
            #expect(try await found("created_at_end=2026-03-23") == [])
            #expect(try await found("sort_by=updated_at") == [2, 3, 1])
            #expect(try await found("merchant_id=303&status_id=&page=") == [3, 2, 1], "empty counts as absent")
        }
    }

    @Test(
        "what is out of range or of the wrong kind is 422, all at once",
        arguments: [
            ("per_page=0", ["per_page"]), ("per_page=101", ["per_page"]), ("page=0", ["page"]), ("page=x", ["page"]),
            ("page=1001&per_page=100", ["page"]), ("status_id=9", ["status_id"]), ("status_id=3.0", ["status_id"]),
            ("sort_by=name&sort_order=up", ["sort_by", "sort_order"]), ("merchant_id=404", ["merchant_id"]),
            ("created_at_start=2026-02-30", ["created_at_start"]), ("updated_at_end=24.3.2026", ["updated_at_end"]),
            ("merchant_id=a&page=b&per_page=c", ["merchant_id", "page", "per_page"]),
        ])
    func faults(_ query: String, _ fields: [String]) async throws {
        try await APIFixture.run { api async throws in
            let reply = try await api.call(.get, "\(Self.path)?\(query)")
            #expect(reply.status == 422)
            for field in fields { #expect(reply.body.contains(#""\#(field)":["#)) }
        }
    }

    @Test("a merchant cancels from Awaiting or Received only; already Canceled is no change")
    func cancel() async throws {
        try await APIFixture.run { api async throws in
            let ids = try await api.store.createPayouts(4)
            try await api.store.report(.received, [ids[1]])
            try await api.store.report(.inReview, [ids[2]])
            try await api.store.report(.paid, [ids[3]])
            func cancel(_ id: Int64, as credential: APIFixture.Credential = .ownKey) async throws -> APIFixture.Reply {
                try await api.call(.post, "\(Self.path)/\(id)/cancel", as: credential)
            }
            for id in ids[..<2] {
                let reply = try await cancel(id)
                #expect(reply.status == 200)
                #expect(reply.body.contains(#""status":{"id":6,"name":"Canceled"}"#))
            }
            #expect(try await cancel(ids[0]).status == 200)
            #expect(try await cancel(ids[2]).body == #"{"message":"Status change from 5 to 6 is not allowed."}"#)
            #expect(try await cancel(ids[3]).status == 409)
            #expect(try await cancel(99).status == 404)
            #expect(try await cancel(ids[2], as: .otherKey).status == 404, "another account's does not exist")
            #expect(try await api.store.number("SELECT count(*) FROM notifications WHERE payout_id = 1") == 1)
        }
    }
}
