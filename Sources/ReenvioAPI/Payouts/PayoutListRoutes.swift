import HTTPTypes
package import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// The list of payouts, page by page (`docs/contract.md` 2.3).
package struct PayoutListRoutes: Sendable {
    private static let path = "/v2/payout/payments"

    private let engine: Engine
    private let publicURL: PublicURL
    private let people: PeopleShown

    package init(_ engine: Engine, publicURL: PublicURL, audit: CollapsedAudit) {
        self.engine = engine
        people = PeopleShown(engine, audit: audit)
        self.publicURL = publicURL
    }

    package var endpoints: [Endpoint] {
        [Endpoint(.get, Self.path, .key(.payoutsRead), limit: .read, list)]
    }

    private func list(_ call: Call) async throws -> Answer {
        let caller = try call.requireCaller()
        var query: PayoutQuery
        do {
            query = try PayoutQuery(call.query)
        } catch {
            throw Problem.invalid(error)
        }
        if let merchantID = query.merchantID,
            try await engine.store.merchant(id: merchantID, for: caller) == nil
        {
            throw Problem.invalid(Faults("merchant_id", "The merchant_id is not associated with your account."))
        }
        query.merchantID = query.merchantID ?? caller.onlyMerchantID
        let page = try await engine.store.listPayouts(
            query, accountID: caller.accountID, merchants: caller.merchants)
        let shown = try await people.payouts(page.payouts, for: call)
        let lastPage = max(1, (page.total + query.perPage - 1) / query.perPage)
        return .json { writer in
            writer.array("data") { writer in
                for payout in shown { payout.write(into: &writer) }
            }
            writer.object("meta") { writer in
                let isEmpty = page.payouts.isEmpty
                writer.member("current_page", query.page)
                writer.member("from", isEmpty ? nil : query.offset + 1)
                writer.member("last_page", lastPage)
                writer.member("per_page", query.perPage)
                writer.member("to", isEmpty ? nil : query.offset + Int64(page.payouts.count))
                writer.member("total", page.total)
            }
            writer.object("links") { writer in
                writer.member("first", link(call, 1))
                writer.member("last", link(call, lastPage))
                writer.member("prev", query.page > 1 ? link(call, query.page - 1) : nil)
                writer.member("next", query.page < lastPage ? link(call, query.page + 1) : nil)
            }
        }
    }

    /// The same filters on another page.
    private func link(_ call: Call, _ page: Int64) -> String {
        let filters = call.query.filter { !$0.value.isEmpty && PayoutQuery.filterNames.contains($0.name) }
        return publicURL.link(Self.path, filters + [("page", String(page))])
    }
}
