import NIOCore
import Synchronization

/// The platform's side: creates payouts and reports their changes.
struct Load: Sendable {
    static let changesPerRequest = 1_000

    let server: ServerUnderTest

    /// Creates payouts over keep-alive connections and returns their ids.
    func createPayouts(
        _ count: Int, offset: Int = 0, receiver: Address, connections: Int = 64
    ) async throws -> [Int] {
        let ids = Mutex([Int](repeating: 0, count: count))
        let headers = server.headers()
        let host = server.address.description
        let work = ListWork(count: count, expecting: 201) { index in
            let body = PayoutTexts.create(index: offset + index, receiver: receiver)
            return Request(path: "/v2/payout/payments", headers: headers, body: body).bytes(host: host)
        } onAnswer: { index, body in
            let id = Scan.number(body, at: 6)
            ids.withLock { $0[index] = id }
        }
        try await Pump.run(work, connections: connections, to: server.address, within: .seconds(300))
        return ids.withLock { $0 }.sorted()
    }

    /// Requests that report every payout as paid, 1,000 changes in each.
    func batches(_ ids: [Int]) -> [ByteBuffer] {
        stride(from: 0, to: ids.count, by: Self.changesPerRequest).map { start in
            let body = PayoutTexts.paid(ids: ids[start..<min(start + Self.changesPerRequest, ids.count)])
            return request("/v2/payout/transitions", body)
        }
    }

    /// Requests that report one payout each as paid.
    func singles(_ ids: [Int]) -> [ByteBuffer] {
        ids.map { request("/v2/payout/payments/\($0)/transition", PayoutTexts.paid(id: $0)) }
    }

    private func request(_ path: String, _ body: String) -> ByteBuffer {
        Request(path: path, headers: server.headers(), body: body).bytes(host: server.address.description)
    }
}
