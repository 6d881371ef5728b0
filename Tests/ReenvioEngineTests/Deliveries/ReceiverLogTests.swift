import Logging
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// One log line when a receiver breaks, when it is well again, and when it asks for time (`docs/logging.md`).
struct ReceiverLogTests {
    private static func paid(_ count: Int, _ fixture: EngineFixture, prefix: String) async throws {
        let ids = try await fixture.store.createPayouts(
            count, merchantID: Fixtures.merchantID, prefix: prefix, url: Fixtures.receiverURL)
        try await fixture.store.report(.paid, ids, at: fixture.clock.wall, due: fixture.clock.engine)
    }

    private static func answerAll(_ fixture: EngineFixture, _ statusCode: Int, retryAfter: String? = nil) async throws {
        try await fixture.dispatch()
        fixture.transport.take().forEach { $0.answer(statusCode, retryAfter: retryAfter) }
        try await fixture.dispatch()
    }

    private static func lines(_ book: LogBook) -> [LogBook.Line] {
        book.lines.filter { $0.message != "attempt" }
    }

    @Test func `a breaker that opens and closes is a line each, with who and why`() async throws {
        let book = LogBook()
        let fixture = try await EngineFixture(logger: book.logger)
        try await Self.paid(9, fixture, prefix: "nine")
        try await Self.answerAll(fixture, 503)
        #expect(Self.lines(book).isEmpty, "nine failures are no news")
        try await Self.paid(1, fixture, prefix: "tenth")
        try await Self.answerAll(fixture, 503)
        let opened = LogBook.Line(
            level: .warning, message: "a receiver failed too often in a row; its breaker is open",
            fields: ["receiver": "1", "merchant": "303", "reason": "http_status", "failures": "10"])
        #expect(Self.lines(book) == [opened])
        fixture.clock.advance(by: .seconds(6))
        try await Self.answerAll(fixture, 503)
        fixture.clock.advance(by: .seconds(11))
        try await Self.answerAll(fixture, 200)
        #expect(Self.lines(book) == [opened], "a probe that fails is no news, nor is the first that does not")
        try await Self.answerAll(fixture, 200)
        let closed = LogBook.Line(
            level: .notice, message: "a receiver answers again; its breaker is closed",
            fields: ["receiver": "1", "merchant": "303", "probes": "2", "open_ms": "17000"])
        #expect(Self.lines(book) == [opened, closed])
    }

    @Test func `a receiver that asks for time is one line, however many answers ask`() async throws {
        let book = LogBook()
        let fixture = try await EngineFixture(logger: book.logger)
        try await Self.paid(5, fixture, prefix: "five")
        try await Self.answerAll(fixture, 429, retryAfter: "60")
        let held = LogBook.Line(
            level: .info, message: "a receiver asked to be left alone",
            fields: ["receiver": "1", "merchant": "303", "hold_ms": "60000"])
        #expect(Self.lines(book) == [held])
        fixture.clock.advance(by: .seconds(400))
        try await Self.answerAll(fixture, 429, retryAfter: "60")
        #expect(Self.lines(book) == [held, held], "a second request for time is a second line")
    }

    @Test func `what a failed commit did not store is not logged before it is`() async throws {
        let book = LogBook()
        let faults = Faults()
        let fixture = try await EngineFixture(logger: book.logger, wrapping: faults.wrap)
        try await Self.paid(10, fixture, prefix: "ten")
        try await fixture.dispatch()
        fixture.transport.take().forEach { $0.answer(500) }
        try #require(faults.engine).fail(atStatement: 2)
        await #expect(throws: (any Error).self) { try await fixture.dispatch() }
        #expect(Self.lines(book).isEmpty)
        try await fixture.dispatch()
        #expect(Self.lines(book).map(\.level) == [.warning])
    }
}
