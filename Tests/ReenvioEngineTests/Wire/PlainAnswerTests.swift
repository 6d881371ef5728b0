import ReenvioEngine
import ReenvioModel
import ReenvioTesting
import Testing

/// Plain answers are read without the parser: what is read must be what the parser reads.
struct PlainAnswerTests {
    /// Answers that come whole, each with what the parser makes of it.
    private static let answers = [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200\r\nContent-Length:2\r\n\r\nok",
        "HTTP/1.1 500 Internal Server Error\r\nCONTENT-LENGTH: \t7 \r\nx-a: b\r\n\r\nfailure",
        "HTTP/1.1 503 Busy\r\nretry-after:  120 \r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 410 Gone\r\nserver: a: b\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\n content-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\nok",
        "HTTP/1.1 200 O\u{0}K\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.2 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "http/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nx-a: \u{e9}\r\ncontent-length: 2\r\n\r\nok",
    ]

    @Test(arguments: answers)
    func `an answer means the same whole and byte by byte`(text: String) async throws {
        let drip = RudeReceiver.Act.drip(text, every: .milliseconds(1))
        try await withReceiver(script: { $0.number == 1 ? [.send(text), .close] : [drip, .close] }) {
            (wire, receiver) async throws in
            let whole = try await wire.exchange(with: receiver)
            let slow = try await wire.exchange(with: receiver)
            #expect(whole == slow)
        }
    }

    @Test func `a plain answer leaves the connection open, and more than it closes it`() async throws {
        let plain = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        try await withReceiver(script: { [.send($0.number == 2 ? plain + "more" : plain)] }) {
            (wire, receiver) async throws in
            for _ in 1...3 { _ = try await wire.exchange(with: receiver) }
            #expect(receiver.log.value.accepted == 2)
        }
    }
}
