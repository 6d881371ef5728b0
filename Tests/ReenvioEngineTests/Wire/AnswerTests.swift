import Foundation
import ReenvioEngine
import ReenvioModel
import ReenvioTesting
import Testing

/// What a recipient must make of answers that are not as they should be (RFC 9110, RFC 9112, `docs/contract.md` 3.3):
/// once the status is read it stands, and after anything irregular the connection is closed.
@Suite(.timeLimit(.minutes(5)))
struct AnswerTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var text: String
        var answer: WireAnswer
        /// Whether the connection carries the next request.
        var isReused = false
        var closes = false

        var testDescription: String { name }
    }

    private static func answer(
        _ status: Int, _ body: String = "", retryAfter: String? = nil, location: String? = nil
    ) -> WireAnswer {
        WireAnswer(statusCode: status, retryAfter: retryAfter, location: location, body: Array(body.utf8))
    }

    private static let long = String(repeating: "x", count: 17 << 10)
    private static let many = (1...300).map { "x-\($0): y\r\n" }.joined()

    private static let regular: [Case] = [
        Case(
            name: "a head of 17 KiB", text: "HTTP/1.1 200 OK\r\nx: \(long)\r\ncontent-length: 2\r\n\r\nok",
            answer: answer(200, "ok")),
        Case(
            name: "300 fields", text: "HTTP/1.1 429 No\r\n\(many)Retry-After: 9\r\ncontent-length: 2\r\n\r\nok",
            answer: answer(429, "ok", retryAfter: "9")),
        Case(
            name: "names in any case", text: "HTTP/1.1 503 No\r\nRETRY-AFTER:9\r\ncOnTeNt-LeNgTh:2\r\n\r\nok",
            answer: answer(503, "ok", retryAfter: "9")),
        Case(
            name: "blanks around values",
            text:
                "HTTP/1.1 503 No\r\nretry-after: \t Sun, 06 Nov 1994 08:49:37 GMT \t\r\ncontent-length:\t2 \r\n\r\nok",
            answer: answer(503, "ok", retryAfter: "Sun, 06 Nov 1994 08:49:37 GMT")),
        Case(name: "no reason phrase", text: "HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", answer: answer(200, "ok")),
        Case(
            name: "an empty reason phrase", text: "HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok",
            answer: answer(200, "ok")),
        Case(
            name: "a reason phrase in Latin-1", text: "HTTP/1.1 200 Sim \u{E9}\r\ncontent-length: 2\r\n\r\nok",
            answer: answer(200, "ok")),
        Case(
            name: "Transfer-Encoding in other letters",
            text: "HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: Chunked\r\n\r\n2;a=\"b\"\r\nok\r\n00\r\nx: y\r\n\r\n",
            answer: answer(200, "ok")),
        Case(
            name: "many 1xx heads",
            text: String(
                repeating: "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Wait\r\n\r\n", count: 50)
                + "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", answer: answer(200, "ok")),
        Case(
            name: "HTTP/1.0 that keeps alive",
            text: "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nok",
            answer: answer(200, "ok")),
        Case(name: "a later HTTP/1", text: "HTTP/1.9 200 OK\r\ncontent-length: 2\r\n\r\nok", answer: answer(200, "ok")),
        Case(
            name: "an unknown status", text: "HTTP/1.1 799 ?\r\ncontent-length: 2\r\n\r\nok",
            answer: answer(799, "ok")),
        Case(
            name: "a field without a value", text: "HTTP/1.1 200 OK\r\nx:\r\ncontent-length: 2\r\n\r\nok",
            answer: answer(200, "ok")),
        Case(
            name: "a redirect", text: "HTTP/1.1 301 Moved\r\nLocation: /new?a=b\r\ncontent-length: 0\r\n\r\n",
            answer: answer(301, location: "/new")),
        Case(
            name: "no redirect", text: "HTTP/1.1 200 OK\r\nlocation: /new\r\ncontent-length: 0\r\n\r\n",
            answer: answer(200)),
        Case(
            name: "an empty list member",
            text: "HTTP/1.1 200 OK\r\nconnection: , keep-alive ,\r\ncontent-length: 2\r\n\r\nok",
            answer: answer(200, "ok")),
    ].map {
        var one = $0
        one.isReused = true
        return one
    }

    private static let irregular: [Case] = [
        Case(
            name: "a folded value",
            text: "HTTP/1.1 503 No\r\nretry-after: Sun, 06 Nov\r\n \t 1994 08:49:37 GMT\r\n"
                + "content-length: 2\r\n\r\nok",
            answer: answer(503, "ok", retryAfter: "Sun, 06 Nov 1994 08:49:37 GMT")),
        Case(
            name: "a fold before any field", text: "HTTP/1.1 200 OK\r\n x: y\r\ncontent-length: 2\r\n\r\nok",
            answer: answer(200, "ok")),
        Case(
            name: "bare line feeds", text: "HTTP/1.1 429 No\nretry-after: 9\ncontent-length: 2\n\nok",
            answer: answer(429, "ok", retryAfter: "9")),
        Case(
            name: "bare line feeds in chunks", text: "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n2\nok\n0\n\n",
            answer: answer(200, "ok")),
        Case(
            name: "empty lines before the status", text: "\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            answer: answer(200, "ok")),
        Case(
            name: "a blank before a colon", text: "HTTP/1.1 503 No\r\nretry-after : 9\r\ncontent-length : 2\r\n\r\nok",
            answer: answer(503, "ok", retryAfter: "9")),
        Case(
            name: "a field without a colon",
            text: "HTTP/1.1 503 No\r\nbad\r\nretry-after: 9\r\ncontent-length: 2\r\n\r\nok",
            answer: answer(503, "ok", retryAfter: "9")),
        Case(
            name: "a name with a blank", text: "HTTP/1.1 200 OK\r\nbad name: 1\r\ncontent-length: 2\r\n\r\nok",
            answer: answer(200, "ok")),
        Case(
            name: "control characters in a value",
            text: "HTTP/1.1 503 No\r\nretry-after: \u{0}9\u{1}\r\ncontent-length: 2\r\n\r\nok",
            answer: answer(503, "ok", retryAfter: "9")),
        Case(
            name: "a bare carriage return", text: "HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 2\r\n\r\nok",
            answer: answer(200, "ok")),
        Case(
            name: "a length twice", text: "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nContent-Length: 2\r\n\r\nok",
            answer: answer(200, "ok")),
        Case(
            name: "a list of one length", text: "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
            answer: answer(200, "ok")),
        Case(
            name: "two lengths", text: "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
            answer: answer(200)),
        Case(name: "a length in words", text: "HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nok", answer: answer(200)),
        Case(name: "a length below zero", text: "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok", answer: answer(200)),
        Case(
            name: "a length beyond all numbers",
            text: "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nok", answer: answer(200)),
        Case(
            name: "a length beside chunks",
            text: "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            answer: answer(200, "ok")),
        Case(
            name: "chunks twice",
            text: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            answer: answer(200, "ok")),
        Case(
            name: "identity and chunks",
            text:
                "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n"
                + "2\r\nok\r\n0\r\n\r\n",
            answer: answer(200, "ok")),
        Case(
            name: "chunks in HTTP/1.0",
            text: "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n"
                + "2\r\nok\r\n0\r\n\r\n", answer: answer(200, "ok")),
        Case(
            name: "a broken chunk size", text: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nZZ\r\n",
            answer: answer(200, "ok")),
        Case(
            name: "a chunk size beyond all numbers",
            text: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nok", answer: answer(200)),
        Case(
            name: "a chunk that is longer than it says",
            text: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
            answer: answer(200, "ok")),
        Case(
            name: "another transfer coding", text: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, cake\r\n\r\nok",
            answer: answer(200, "ok"), closes: true),
        Case(
            name: "more than its length", text: "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 No\r\n\r\n",
            answer: answer(200, "ok")),
        Case(name: "nothing but a status", text: "HTTP/1.1 200 OK\r\n\r\n", answer: answer(200), closes: true),
        Case(
            name: "no length", text: "HTTP/1.1 200 OK\r\n\r\nall of it", answer: answer(200, "all of it"),
            closes: true),
        Case(
            name: "less than its length", text: "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nok",
            answer: answer(200, "ok"),
            closes: true),
        Case(
            name: "Connection: Close in a list",
            text: "HTTP/1.1 200 OK\r\nconnection: x-a\r\nConnection: keep-alive , Close\r\ncontent-length: 2\r\n\r\nok",
            answer: answer(200, "ok")),
        Case(name: "HTTP/1.0", text: "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", answer: answer(200, "ok")),
        Case(
            name: "blanks in the status line", text: "HTTP/1.1 \t 200\tOK\r\ncontent-length: 2\r\n\r\nok",
            answer: answer(200, "ok")),
    ]

    @Test(arguments: regular + irregular)
    func `the answer stands as its status says`(one: Case) async throws {
        let acts: [RudeReceiver.Act] = [.send(one.text)] + (one.closes ? [.pause(.milliseconds(20)), .close] : [])
        try await withReceiver(script: { $0.number == 1 ? acts : [.send(WireFixture.ok)] }) {
            (wire, receiver) async throws in
            #expect(try await wire.exchange(with: receiver) == .answered(one.answer))
            #expect(try await wire.exchange(with: receiver) == .answered(Self.answer(200, "ok")))
            // After a sign that the machine is ill the next attempt dials anew in any case.
            let isWell = one.answer.statusCode < 500 && one.answer.statusCode != 429
            if isWell { #expect(receiver.log.value.accepted == (one.isReused ? 1 : 2), "used again") }
        }
    }

    @Test(arguments: (regular + irregular).filter { $0.text.utf8.count < 90 })
    func `and means the same byte by byte`(one: Case) async throws {
        let drip = RudeReceiver.Act.drip(one.text, every: .microseconds(200))
        try await withReceiver(script: { _ in [drip, .close] }) { (wire, receiver) async throws in
            #expect(try await wire.exchange(with: receiver) == .answered(one.answer))
        }
    }

    @Test func `an answer is shown as text, whatever it is written in`() async throws {
        let gzip = "H4sIAAAAAAACA6tWSi0qyi9SslLKyy9RKMlPSaxU0lFKSS1JzMwBCpZkpCrkpKakpxYpZBYrJOfkF6emKNUCAJoqT0k1AAAA"
        let compressed = Array(try #require(Data(base64Encoded: gzip)))
        let latin: [UInt8] = [0x6E, 0xE3, 0x6F]
        let head = "HTTP/1.1 502 No\r\n"
        let answers: [([UInt8], String)] = [
            (
                Array("\(head)Content-Encoding: gzip\r\ncontent-length: \(compressed.count)\r\n\r\n".utf8) + compressed,
                #"{"error":"not today","detail":"the ledger is closed"}"#
            ),
            (
                Array("\(head)transfer-encoding: gzip, chunked\r\n\r\n\(String(compressed.count, radix: 16))\r\n".utf8)
                    + compressed + Array("\r\n0\r\n\r\n".utf8),
                #"{"error":"not today","detail":"the ledger is closed"}"#
            ),
            (
                Array("\(head)content-type: text/plain; charset=iso-8859-1\r\ncontent-length: 3\r\n\r\n".utf8) + latin,
                "não"
            ),
            (Array("\(head)content-length: 6\r\n\r\n".utf8) + [0xFF, 0xFE, 0x68, 0, 0xE9, 0], "hé"),
            (
                Array("\(head)content-type: text/plain; charset=\"UTF-8\"\r\ncontent-length: 3\r\n\r\n".utf8)
                    + Array("hé".utf8), "hé"
            ),
        ]
        try await withReceiver(script: { [.bytes(answers[$0.number - 1].0)] }) { (wire, receiver) async throws in
            for (_, text) in answers {
                guard case .answered(let answer) = try await wire.exchange(with: receiver) else {
                    return #expect(Bool(false), "no answer")
                }
                #expect(answer.statusCode == 502)
                #expect(String(decoding: answer.body, as: UTF8.self) == text)
            }
        }
    }
}
