import ReenvioEngine
import ReenvioModel
import ReenvioTesting
import Testing

/// What was claimed ahead waits by lane, and never in the way of a live change (`docs/architecture.md`, rule 5).
struct LaneTests {
    private let ok = WireResult.answered(WireAnswer(statusCode: 200, body: Array("ok".utf8)))

    private func targets(_ receiver: RudeReceiver) -> [Substring] {
        receiver.log.value.requests.map { $0.head.split(separator: " ")[1] }
    }

    @Test func `a live request goes before what waits in later lanes`() async throws {
        var limits = WireFixture.limits
        limits.connectionsPerReceiver = 1
        let latch = Latch()
        try await withReceiver(limits: limits, script: { _ in [.wait(latch), .send(WireFixture.ok)] }) {
            (wire, receiver) async throws in
            let url = "http://127.0.0.1:\(receiver.port)"
            let lanes: [Lane] = [.resend, .resend, .retry, .live, .resend, .live]
            for (id, lane) in lanes.enumerated() { try wire.post(id, to: "\(url)/\(id)", lane: lane) }
            latch.open()
            for id in lanes.indices { #expect(try await wire.result(of: id) == ok) }
            #expect(targets(receiver) == ["/0", "/3", "/5", "/2", "/1", "/4"])
        }
    }

    @Test func `later lanes leave connections to earlier ones`() async throws {
        var limits = WireFixture.limits
        limits.connectionsPerReceiver = 4
        let latch = Latch()
        try await withReceiver(limits: limits, script: { _ in [.wait(latch), .send(WireFixture.ok)] }) {
            (wire, receiver) async throws in
            let url = "http://127.0.0.1:\(receiver.port)"
            for id in 1...6 { try wire.post(id, to: "\(url)/resend", lane: .resend) }
            try wire.post(7, to: "\(url)/live")
            try await receiver.log.wait(for: "the live request is heard") { log in
                log.requests.contains { $0.head.contains("/live") }
            }
            try await receiver.log.wait(for: "three of four carry resends") { $0.requests.count == 4 }
            latch.open()
            for id in 1...7 { #expect(try await wire.result(of: id) == ok) }
            #expect(receiver.log.value.openMost == 4)
        }
    }

    @Test func `a late header that could change the message is never sent`() async throws {
        try await withReceiver(script: { _ in [.send(WireFixture.ok)] }) { (wire, receiver) async throws in
            let url = "http://127.0.0.1:\(receiver.port)/"
            try wire.post(1, to: url, lateHeaders: { $0.add("x-a", "1\r\nx-b: 2") })
            #expect(try await wire.result(of: 1) == .failed(.connectionFailed))
            try wire.post(2, to: url, lateHeaders: { $0.add("x-a", "1") })
            #expect(try await wire.result(of: 2) == ok)
            #expect(receiver.log.value.requests.map(\.number) == [1])
        }
    }

    @Test func `header lines can be read again`() {
        var lines = HeaderLines()
        lines.add("x-a", "one: two")
        lines.add("x-b", 7)
        #expect(lines.pairs.map(\.name) == ["x-a", "x-b"])
        #expect(lines.pairs.map(\.value) == ["one: two", "7"])
    }
}
