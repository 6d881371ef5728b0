import ReenvioEngine
import ReenvioModel
import ReenvioTesting
import Testing

/// Receivers that answer wrongly, late, too much or not at all: each ends as `docs/contract.md` 3.3 says, exactly
/// once, and leaves nothing open (`withReceiver` checks both).
@Suite(.timeLimit(.minutes(5)))
struct HostileReceiverTests {
    private func answered(_ status: Int, _ body: String = "") -> WireResult {
        .answered(WireAnswer(statusCode: status, body: Array(body.utf8)))
    }

    /// What comes back for one request that is answered so, and then the connection stays open unless the text says
    /// otherwise.
    private func result(
        of acts: [RudeReceiver.Act], limits: WireLimits = WireFixture.limits
    ) async throws -> WireResult {
        var result: WireResult?
        try await withReceiver(limits: limits, script: { _ in acts }) { (wire, receiver) async throws in
            result = try await wire.exchange(with: receiver)
        }
        return try #require(result)
    }

    // MARK: Time

    @Test func `silence is a time-out after the head's time`() async throws {
        try await withReceiver(limits: WireFixture.hastyLimits, script: { _ in [] }) { (wire, receiver) async throws in
            #expect(try await wire.exchange(with: receiver) == .failed(.timedOut))
            let took = try #require(wire.durations.value[1])
            #expect(took >= .milliseconds(400))
        }
    }

    @Test func `a head that drips in is a time-out`() async throws {
        #expect(
            try await result(of: [.drip(WireFixture.ok, every: .milliseconds(50))], limits: WireFixture.hastyLimits)
                == .failed(.timedOut)
        )
    }

    @Test func `a status that drips in is a time-out, and so is one behind heads of the 1xx kind`() async throws {
        #expect(try await result(of: [.send("HTTP/1.1 20")], limits: WireFixture.hastyLimits) == .failed(.timedOut))
        let early = RudeReceiver.Act.send("HTTP/1.1 103 Early Hints\r\n\r\n")
        #expect(try await result(of: [early], limits: WireFixture.hastyLimits) == .failed(.timedOut))
    }

    @Test func `a head that never ends leaves the status`() async throws {
        let acts: [RudeReceiver.Act] = [
            .send("HTTP/1.1 200 OK\r\n"), .drip(String(repeating: "a", count: 1_000), every: .milliseconds(20)),
        ]
        var limits = WireFixture.hastyLimits
        limits.headWithin = .seconds(5)
        #expect(try await result(of: acts, limits: limits) == answered(200))
    }

    @Test func `a body that drips is cut off and the status stands`() async throws {
        let acts: [RudeReceiver.Act] = [
            .send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"),
            .drip(String(repeating: "b", count: 1000), every: .milliseconds(50)),
        ]
        guard case .answered(let answer) = try await result(of: acts, limits: WireFixture.hastyBodyLimits) else {
            return #expect(Bool(false), "no answer")
        }
        #expect(answer.statusCode == 200)
        #expect((0..<1_000).contains(answer.body.count))
    }

    @Test func `a body that never comes is cut off and the status stands`() async throws {
        let head = RudeReceiver.Act.send("HTTP/1.1 503 No\r\ncontent-length: 9\r\n\r\n")
        #expect(try await result(of: [head], limits: WireFixture.hastyBodyLimits) == answered(503))
    }

    @Test func `a connection that nobody accepts to speak on is a time-out`() async throws {
        try await withReceiver(limits: WireFixture.hastyLimits, reads: false, script: { _ in [] }) {
            (wire, receiver) async throws in
            try wire.post(1, to: "http://127.0.0.1:\(receiver.port)/", body: [UInt8](repeating: 7, count: 8 << 20))
            #expect(try await wire.result(of: 1) == .failed(.timedOut))
        }
    }

    // MARK: Too much

    /// More of a head than is read: the status stands, and nothing else of it counts.
    @Test(arguments: [
        (200, "x: \(String(repeating: "a", count: 1_000))"), (404, "x: y\r\n"), (500, " fold\r\n"), (200, ": \r\n"),
    ])
    func `an endless head leaves the status`(status: Int, more: String) async throws {
        let acts: [RudeReceiver.Act] = [.send("HTTP/1.1 \(status) X\r\nretry-after: 7\r\n"), .flood(more)]
        guard case .answered(let answer) = try await result(of: acts) else {
            return #expect(Bool(false), "no answer")
        }
        #expect(answer.statusCode == status)
        #expect(answer.body.isEmpty)
    }

    @Test func `an endless status line leaves the status`() async throws {
        #expect(
            try await result(
                of: [.send("HTTP/1.1 200 "), .flood(String(repeating: "a", count: 1000))])
                == answered(200)
        )
    }

    @Test func `a flood of 1xx heads is malformed`() async throws {
        #expect(
            try await result(of: [.flood("HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n")])
                == .failed(.malformedResponse)
        )
    }

    @Test func `an unasked upgrade is an answer and the end of the connection`() async throws {
        let upgrade = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"
        #expect(try await result(of: [.send(upgrade)]) == answered(101))
    }

    @Test func `an endless body is cut off at its limit and the first bytes are kept`() async throws {
        let acts: [RudeReceiver.Act] = [
            .send("HTTP/1.1 200 OK\r\n\r\n"), .flood(String(repeating: "0123456789", count: 100)),
        ]
        let kept = String(repeating: "0123456789", count: 100)
        #expect(try await result(of: acts) == answered(200, kept))
    }

    // MARK: Broken off

    @Test func `a reset before the head is connection_reset`() async throws {
        #expect(try await result(of: [.reset]) == .failed(.connectionReset))
    }

    @Test func `a farewell before the head is connection_reset`() async throws {
        #expect(try await result(of: [.close]) == .failed(.connectionReset))
    }

    @Test(arguments: ["H", "HTTP/1.1 ", "HTTP/1.1 200", "\r\n", "HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n"])
    func `a farewell before a final status is connection_reset`(text: String) async throws {
        #expect(try await result(of: [.send(text), .close]) == .failed(.connectionReset))
    }

    @Test(arguments: [false, true])
    func `an end within the head leaves the status`(byReset: Bool) async throws {
        for text in ["HTTP/1.1 200 O", "HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"] {
            let acts: [RudeReceiver.Act] = [.send(text), .pause(.milliseconds(50)), byReset ? .reset : .close]
            #expect(try await result(of: acts) == answered(200), "\(text)")
        }
    }

    @Test func `a reset within the body leaves the status`() async throws {
        let acts: [RudeReceiver.Act] = [
            .send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"), .pause(.milliseconds(50)), .reset,
        ]
        #expect(try await result(of: acts) == answered(200, "half"))
    }

    @Test func `nobody listening is connection_refused`() async throws {
        try await withReceiver(script: { _ in [] }) { (wire, receiver) async throws in
            let closed = try await RudeReceiver.start { _ in [] }
            try await closed.stop()
            #expect(try await wire.exchange(with: closed) == .failed(.connectionRefused))
        }
    }

    // MARK: Wrong

    @Test(arguments: [
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 20x OK\r\n\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1200 OK\r\n\r\n",
        "HTTP/1.x 200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "200 OK\r\n\r\n",
        "{\"ok\":true}",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "\u{0}\u{1}\u{2}\u{3}",
    ])
    func `what is no HTTP/1 is malformed`(text: String) async throws {
        #expect(
            try await result(of: [.send(text)]) == .failed(.malformedResponse), "\(text)"
        )
    }

    @Test func `a broken chunk leaves the status`() async throws {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nZZ\r\n"
        #expect(try await result(of: [.send(chunked)]) == answered(200, "ok"))
    }

    @Test func `a length that promises too much leaves the status`() async throws {
        let acts: [RudeReceiver.Act] = [.send("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nok"), .close]
        #expect(try await result(of: acts) == answered(200, "ok"))
    }

    @Test func `a length that promises too little ends the connection`() async throws {
        let script: @Sendable (RudeReceiver.Heard) -> [RudeReceiver.Act] = { heard in
            heard.number == 1
                ? [.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 No\r\n\r\n")]
                : [.send(WireFixture.ok)]
        }
        try await withReceiver(script: script) { (wire, receiver) async throws in
            #expect(try await wire.exchange(with: receiver) == answered(200, "ok"))
            #expect(try await wire.exchange(with: receiver) == answered(200, "ok"))
            #expect(receiver.log.value.accepted == 2)
        }
    }

    // MARK: Unusual, but right

    @Test(arguments: [204, 304])
    func `a status without a body has none`(status: Int) async throws {
        let script: @Sendable (RudeReceiver.Heard) -> [RudeReceiver.Act] = { _ in
            [.send("HTTP/1.1 \(status) X\r\n\r\n")]
        }
        try await withReceiver(script: script) { (wire, receiver) async throws in
            #expect(try await wire.exchange(with: receiver) == answered(status))
            #expect(try await wire.exchange(with: receiver) == answered(status))
            #expect(receiver.log.value.accepted == 1)
        }
    }

    @Test func `connection close is obeyed`() async throws {
        let script: @Sendable (RudeReceiver.Heard) -> [RudeReceiver.Act] = { _ in
            [.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")]
        }
        try await withReceiver(script: script) { (wire, receiver) async throws in
            #expect(try await wire.exchange(with: receiver) == answered(200, "ok"))
            #expect(try await wire.exchange(with: receiver) == answered(200, "ok"))
            #expect(receiver.log.value.accepted == 2)
        }
    }

    @Test func `an HTTP/1.0 answer ends with its connection`() async throws {
        #expect(
            try await result(of: [.send("HTTP/1.0 200 OK\r\n\r\nold"), .close])
                == answered(200, "old")
        )
    }

    @Test func `chunks are put together, and 1xx heads passed over`() async throws {
        let text =
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After: 17\r\ntransfer-encoding: chunked\r\n\r\n"
            + "2\r\nab\r\n3;x=y\r\ncde\r\n0\r\ntrailer: 1\r\n\r\n"
        #expect(
            try await result(of: [.send(text)])
                == .answered(WireAnswer(statusCode: 429, retryAfter: "17", body: Array("abcde".utf8)))
        )
    }

    @Test func `what cannot be expanded stays as it is, a redirect is an answer`() async throws {
        let text =
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.2/\r\ncontent-encoding: gzip\r\n"
            + "content-length: 3\r\n\r\n\u{1}zz"
        let expected = WireAnswer(statusCode: 302, location: "http://127.0.0.2/", body: Array("\u{1}zz".utf8))
        #expect(try await result(of: [.send(text)]) == .answered(expected))
    }

    @Test func `an answer before the request is sent counts, and the connection is not used again`() async throws {
        let script: @Sendable (RudeReceiver.Heard) -> [RudeReceiver.Act] = { _ in [.send(WireFixture.ok)] }
        try await withReceiver(at: .accepted, reads: false, script: script) { (wire, receiver) async throws in
            for id in 1...2 {
                try wire.post(id, to: "http://127.0.0.1:\(receiver.port)/", body: [UInt8](repeating: 7, count: 8 << 20))
                #expect(try await wire.result(of: id) == answered(200, "ok"))
            }
            #expect(receiver.log.value.accepted == 2)
        }
    }
}
