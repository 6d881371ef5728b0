import Crypto
import Foundation
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// The test ping (`docs/contract.md` 13.13): signed like a webhook, stored nowhere.
struct PingerTests {
    private static func ping(_ answer: WireResult) async throws -> (PingResult, ScriptedTransport.Exchange, Store) {
        let heard = Watched<[ScriptedTransport.Exchange]>([])
        let transport = ScriptedTransport { exchange in
            heard.change { $0.append(exchange) }
            return answer
        }
        let fixture = try await EngineFixture(transport: transport)
        let url = try ReceiverURL(parsing: "https://shop.example/try", policy: AddressPolicy())
        let result = try await fixture.engine.pinger.ping(merchantID: Fixtures.merchantID, url: url)
        return (result, try #require(heard.value.first), fixture.store)
    }

    @Test("it says what came back, and nothing is stored")
    func answers() async throws {
        let (result, exchange, store) = try await Self.ping(
            .answered(WireAnswer(statusCode: 200, body: Array("hello".utf8))))
        #expect(result.reason == nil)
        #expect(result.statusCode == 200)
        #expect(result.answer == Array("hello".utf8))
        let body = String(decoding: exchange.request.body, as: UTF8.self)
        #expect(body == #"{"type":"ping","timestamp":"2026-03-24T08:00:00Z","data":{"merchant_id":303}}"#)
        let id = exchange.header("webhook-id")
        #expect(id == result.webhookID.description)
        let message = Array("\(id).\(exchange.header("webhook-timestamp")).".utf8) + exchange.request.body
        let key = SymmetricKey(data: Array("test-signing-secret-0001".utf8))
        let expected = Data(HMAC<SHA256>.authenticationCode(for: message, using: key)).base64EncodedString()
        #expect(exchange.header("webhook-signature") == "v1,\(expected)")
        #expect(exchange.header("x-webhook-wp-signature").isEmpty, "there is no invoice to sign")
        for table in ["notifications", "deliveries", "attempts", "settled"] {
            #expect(try await store.number("SELECT count(*) FROM \(table)") == 0)
        }
    }

    @Test("failures have the words of the delivery log")
    func failures() async throws {
        let (refused, _, _) = try await Self.ping(.failed(.connectionRefused))
        #expect(refused.reason == .connectionRefused)
        #expect(refused.statusCode == nil)
        let (answered, _, _) = try await Self.ping(.answered(WireAnswer(statusCode: 204)))
        #expect(answered.reason == .httpStatus)
        #expect(answered.statusCode == 204)
    }
}
