import ReenvioEngine
import ReenvioModel
import ReenvioTesting
import Testing

/// One connection after another request: when it is used again, when it must not be, and what waits for it.
@Suite(.timeLimit(.minutes(5)))
struct ConnectionReuseTests {
    private let ok: WireResult = .answered(WireAnswer(statusCode: 200, body: Array("ok".utf8)))

    @Test func `one connection serves one request after the other`() async throws {
        try await withReceiver(script: { _ in [.send(WireFixture.ok)] }) { (wire, receiver) async throws in
            for _ in 1...20 { #expect(try await wire.exchange(with: receiver) == ok) }
            #expect(receiver.log.value.accepted == 1)
        }
    }

    @Test func `the request is one HTTP message with our lines and the body`() async throws {
        try await withReceiver(script: { _ in [.send(WireFixture.ok)] }) { (wire, receiver) async throws in
            try wire.post(
                1, to: "http://127.0.0.1:\(receiver.port)/a/b?c=d", headers: [("x-webhook-attempt", "3")],
                body: Array("{\"id\":1}".utf8)
            )
            #expect(try await wire.result(of: 1) == ok)
            let heard = try #require(receiver.log.value.requests.first)
            #expect(
                heard.head == """
                    POST /a/b?c=d HTTP/1.1\r
                    host: 127.0.0.1:\(receiver.port)\r
                    accept: */*\r
                    content-length: 8\r
                    x-webhook-attempt: 3
                    """
            )
            #expect(String(decoding: heard.body, as: UTF8.self) == "{\"id\":1}")
        }
    }

    @Test(arguments: [
        ("x-a", "1\r\nx-b: 2"), ("x-a", "1\n"), ("x-a", "\u{0}"), ("x a", "1"), ("x-a:", "1"), ("", "1"),
        ("Content-Length", "0"), ("transfer-encoding", "chunked"), ("Host", "other"), ("connection", "close"),
        ("Accept", "text/html"),
    ])
    func `a header that could change the message is never sent`(name: String, value: String) async throws {
        try await withReceiver(script: { _ in [.send(WireFixture.ok)] }) { (wire, receiver) async throws in
            try wire.post(1, to: "http://127.0.0.1:\(receiver.port)/", headers: [(name, value)])
            #expect(try await wire.result(of: 1) == .failed(.connectionFailed))
            #expect(receiver.log.value.accepted == 0)
        }
    }

    @Test func `merchants never share a connection`() async throws {
        try await withReceiver(script: { _ in [.send(WireFixture.ok)] }) { (wire, receiver) async throws in
            for merchant in 1...3 {
                try wire.post(merchant, to: "http://127.0.0.1:\(receiver.port)/", merchant: Int64(merchant))
                #expect(try await wire.result(of: merchant) == ok)
            }
            #expect(receiver.log.value.accepted == 3)
        }
    }

    @Test func `never more connections than allowed, and all requests in order`() async throws {
        var limits = WireFixture.limits
        limits.connectionsPerReceiver = 3
        try await withReceiver(
            limits: limits, script: { _ in [.pause(.milliseconds(2)), .send(WireFixture.ok)] },
            test: { (wire, receiver) async throws in
                for id in 1...60 { try wire.post(id, to: "http://127.0.0.1:\(receiver.port)/\(id)") }
                for id in 1...60 { #expect(try await wire.result(of: id) == ok) }
                #expect(receiver.log.value.openMost == 3)
                #expect(receiver.log.value.accepted == 3)
            })
    }

    @Test func `requests wait in line`() async throws {
        var limits = WireFixture.limits
        limits.connectionsPerReceiver = 1
        try await withReceiver(limits: limits, script: { _ in [.send(WireFixture.ok)] }) {
            (wire, receiver) async throws in
            for id in 1...30 { try wire.post(id, to: "http://127.0.0.1:\(receiver.port)/\(id)") }
            for id in 1...30 { #expect(try await wire.result(of: id) == ok) }
            let targets = receiver.log.value.requests.map { $0.head.split(separator: " ")[1] }
            #expect(targets == (1...30).map { "/\($0)" })
        }
    }

    @Test func `who waits beyond startBy is not started`() async throws {
        var limits = WireFixture.limits
        limits.connectionsPerReceiver = 1
        let latch = Latch()
        try await withReceiver(limits: limits, script: { _ in [.wait(latch), .send(WireFixture.ok)] }) {
            (wire, receiver) async throws in
            let url = "http://127.0.0.1:\(receiver.port)/"
            try wire.post(1, to: url)
            try wire.post(2, to: url, startWithin: .milliseconds(50))
            try wire.post(3, to: url)
            #expect(try await wire.result(of: 2) == .notStarted)
            #expect(wire.durations.value[2] == .zero)
            latch.open()
            #expect(try await wire.result(of: 1) == ok)
            #expect(try await wire.result(of: 3) == ok)
            #expect(receiver.log.value.requests.count == 2)
            try wire.post(4, to: url, startWithin: .milliseconds(-1))
            #expect(try await wire.result(of: 4) == .notStarted)
        }
    }

    @Test func `a connection carries so many requests and no more`() async throws {
        var limits = WireFixture.limits
        limits.requestsPerConnection = 3
        try await withReceiver(limits: limits, script: { _ in [.send(WireFixture.ok)] }) {
            (wire, receiver) async throws in
            for _ in 1...9 { #expect(try await wire.exchange(with: receiver) == ok) }
            #expect(receiver.log.value.accepted == 3)
        }
    }

    @Test func `a connection has an age`() async throws {
        var limits = WireFixture.limits
        limits.connectionAge = .zero
        try await withReceiver(limits: limits, script: { _ in [.send(WireFixture.ok)] }) {
            (wire, receiver) async throws in
            for _ in 1...3 { #expect(try await wire.exchange(with: receiver) == ok) }
            #expect(receiver.log.value.accepted == 3)
        }
    }

    @Test func `an idle connection is closed, and its receiver forgotten`() async throws {
        var limits = WireFixture.limits
        limits.idleConnection = .milliseconds(50)
        try await withReceiver(limits: limits, script: { _ in [.send(WireFixture.ok)] }) {
            (wire, receiver) async throws in
            #expect(try await wire.exchange(with: receiver) == ok)
            try await receiver.log.wait(for: "the idle connection is closed") { $0.open == 0 }
            #expect(try await wire.exchange(with: receiver) == ok)
            #expect(receiver.log.value.accepted == 2)
            try await receiver.log.wait(for: "the idle connection is closed again") { $0.open == 0 }
            await wire.transport.shutdown()
            #expect(wire.transport.receiversKept == 0)
        }
    }

    @Test func `only so many connections idle`() async throws {
        var limits = WireFixture.limits
        limits.idleConnections = 2
        let latch = Latch()
        try await withReceiver(limits: limits, script: { _ in [.wait(latch), .send(WireFixture.ok)] }) {
            (wire, receiver) async throws in
            for id in 1...6 { try wire.post(id, to: "http://127.0.0.1:\(receiver.port)/", merchant: Int64(id)) }
            try await receiver.log.wait(for: "six requests at once") { $0.requests.count == 6 }
            latch.open()
            for id in 1...6 { #expect(try await wire.result(of: id) == ok) }
            try await receiver.log.wait(for: "the surplus closes") { $0.open <= 2 }
        }
    }

    @Test func `bytes on an idle connection end it`() async throws {
        let script: @Sendable (RudeReceiver.Heard) -> [RudeReceiver.Act] = { heard in
            heard.number > 1
                ? [.send(WireFixture.ok)]
                : [.send(WireFixture.ok), .pause(.milliseconds(50)), .send("HTTP/1.1 200 OK\r\n\r\n")]
        }
        try await withReceiver(script: script) { (wire, receiver) async throws in
            #expect(try await wire.exchange(with: receiver) == ok)
            try await receiver.log.wait(for: "the connection is closed") { $0.open == 0 }
            #expect(try await wire.exchange(with: receiver) == ok)
            #expect(receiver.log.value.accepted == 2)
        }
    }

    /// The second answer came with the first and must not be taken for that of the request which waits.
    @Test func `two answers at once acknowledge one request`() async throws {
        var limits = WireFixture.limits
        limits.connectionsPerReceiver = 1
        let script: @Sendable (RudeReceiver.Heard) -> [RudeReceiver.Act] = { heard in
            heard.number == 1
                ? [.send(WireFixture.ok + WireFixture.ok)] : [.send("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")]
        }
        try await withReceiver(limits: limits, script: script) { (wire, receiver) async throws in
            let url = "http://127.0.0.1:\(receiver.port)/"
            try wire.post(1, to: url)
            try wire.post(2, to: url)
            #expect(try await wire.result(of: 1) == ok)
            #expect(try await wire.result(of: 2) == .answered(WireAnswer(statusCode: 500)))
            #expect(receiver.log.value.accepted == 2)
        }
    }

    @Test(arguments: [true, false])
    func `a kept-alive connection closed under a request is replaced once`(byReset: Bool) async throws {
        let script: @Sendable (RudeReceiver.Heard) -> [RudeReceiver.Act] = { heard in
            heard.number == 2 ? [byReset ? .reset : .close] : [.send(WireFixture.ok)]
        }
        try await withReceiver(script: script) { (wire, receiver) async throws in
            #expect(try await wire.exchange(with: receiver) == ok)
            #expect(try await wire.exchange(with: receiver) == ok)
            #expect(receiver.log.value.requests.count == 3)
            #expect(receiver.log.value.accepted == 2)
            #expect(wire.repeats.value == 1, "the receiver may have taken it in before")
        }
    }

    @Test func `the replacement is not replaced`() async throws {
        let script: @Sendable (RudeReceiver.Heard) -> [RudeReceiver.Act] = { heard in
            heard.number == 1 ? [.send(WireFixture.ok)] : [.close]
        }
        try await withReceiver(script: script) { (wire, receiver) async throws in
            #expect(try await wire.exchange(with: receiver) == ok)
            #expect(try await wire.exchange(with: receiver) == .failed(.connectionReset))
            #expect(receiver.log.value.requests.count == 3)
        }
    }

    @Test func `a kept-alive connection that gave one byte is not replaced`() async throws {
        let script: @Sendable (RudeReceiver.Heard) -> [RudeReceiver.Act] = { heard in
            heard.number == 1 ? [.send(WireFixture.ok)] : [.send("H"), .pause(.milliseconds(50)), .close]
        }
        try await withReceiver(script: script) { (wire, receiver) async throws in
            #expect(try await wire.exchange(with: receiver) == ok)
            #expect(try await wire.exchange(with: receiver) == .failed(.connectionReset))
            #expect(receiver.log.value.requests.count == 2)
        }
    }

    @Test func `shutdown refuses who waits and lets who runs end`() async throws {
        var limits = WireFixture.limits
        limits.connectionsPerReceiver = 1
        let latch = Latch()
        try await withReceiver(limits: limits, script: { _ in [.wait(latch), .send(WireFixture.ok)] }) {
            (wire, receiver) async throws in
            let url = "http://127.0.0.1:\(receiver.port)/"
            try wire.post(1, to: url)
            try wire.post(2, to: url)
            try await receiver.log.wait(for: "the first request is there") { $0.requests.count == 1 }
            async let left: Void = wire.transport.shutdown()
            #expect(try await wire.result(of: 2) == .notStarted)
            #expect(wire.results.value[1] == nil)
            latch.open()
            #expect(try await wire.result(of: 1) == ok)
            await left
            try wire.post(3, to: url)
            #expect(try await wire.result(of: 3) == .notStarted)
            #expect(receiver.log.value.requests.count == 1)
        }
    }

    /// Everything at once, from many tasks: whatever the order of events, each is called once and nothing stays open.
    @Test func `a crowd against a receiver that closes at random ends once each`() async throws {
        var limits = WireFixture.limits
        limits.connectionsPerReceiver = 8
        limits.idleConnection = .milliseconds(5)
        limits.sweepEvery = .milliseconds(1)
        let script: @Sendable (RudeReceiver.Heard) -> [RudeReceiver.Act] = { heard in
            switch heard.number % 7 {
            case 0: [.reset]
            case 1: [.send(WireFixture.ok), .close]
            case 2: [.close]
            case 3: [.send(WireFixture.ok), .pause(.milliseconds(5)), .send("surprise")]
            default: [.send(WireFixture.ok)]
            }
        }
        try await withReceiver(limits: limits, script: script) { (wire, receiver) async throws in
            let port = receiver.port
            await withTaskGroup { group in
                for crowd in 0..<8 {
                    group.addTask {
                        for id in 0..<100 {
                            try? wire.post(crowd * 100 + id, to: "http://127.0.0.1:\(port)/", merchant: Int64(id % 3))
                            if id % 10 == 9 { _ = try? await wire.result(of: crowd * 100 + id) }
                        }
                    }
                }
            }
            try await wire.results.wait(for: "everybody is called") { $0.count == 800 }
            await wire.end(expecting: 800)
            #expect(wire.transport.receiversKept == 0)
        }
    }
}
