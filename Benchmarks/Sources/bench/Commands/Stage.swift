import NIOCore

/// The receiver that all of a benchmark shares, and what is done with it.
struct Stage: Sendable {
    let receiver: Receiver
    let address: Address

    static func with(_ body: (Stage) async throws -> Void) async throws {
        let receiver = Receiver()
        let address = try await receiver.start()
        try await body(Stage(receiver: receiver, address: address))
        try await receiver.stop()
    }

    /// The reference blast and the bare one.
    struct Blasts: Sendable {
        var reference: Blast.Result
        var bare: Blast.Result

        var othersPercent: Double { max(reference.othersPercent, bare.othersPercent) }
    }

    /// Blasts this receiver, which remembers as it does while a server is measured.
    func blast(_ blast: Blast) async throws -> Blasts {
        var bare = blast
        bare.codec = .bare
        receiver.expect()
        let blasts = Blasts(
            reference: try await blast.run(.webhook, to: address), bare: try await bare.run(.webhook, to: address)
        )
        guard receiver.bodyBytes == PayoutTexts.webhookBytes else {
            throw Failure("the blast sends bodies of \(receiver.bodyBytes) bytes")
        }
        return blasts
    }

    /// Mean rates of the blasts before and after something.
    struct BlastRates: Sendable {
        var reference: Double
        var bare: Double
        /// The worst of them.
        var othersPercent: Double
    }

    /// Runs `body` between two blasts and returns their mean rates with its result.
    func betweenBlasts<T>(
        _ blast: Blast, _ body: () async throws -> T
    ) async throws -> (result: T, rates: BlastRates) {
        let before = try await self.blast(blast)
        let result = try await body()
        let after = try await self.blast(blast)
        let rates = BlastRates(
            reference: (before.reference.rate + after.reference.rate) / 2,
            bare: (before.bare.rate + after.bare.rate) / 2,
            othersPercent: max(before.othersPercent, after.othersPercent)
        )
        return (result, rates)
    }

    /// One wave of webhooks from its cause to its end.
    struct Wave: Sendable {
        var began: ContinuousClock.Instant
        /// The receiver answered the last one.
        var received: ContinuousClock.Instant
        /// The store was seen without open deliveries; a few ms late, because a program is started to look.
        var recorded: ContinuousClock.Instant
        /// Requests beyond one for each webhook.
        var repeated: Int
        /// When the webhooks came, where the receiver remembers that.
        var arrivals: [Int: ContinuousClock.Instant]
        var meter: Meter.Reading

        var untilReceived: Double { (received - began).seconds }
        var untilRecorded: Double { (recorded - began).seconds }
    }

    /// Sends status changes and waits until each is delivered and recorded.
    func deliver(
        _ requests: [ByteBuffer], of count: Int, from server: ServerUnderTest, connections: Int,
        remembering memory: Receiver.Memory = .webhookIDs, _ profiler: Profiler = Profiler(),
        onAnswer: @escaping @Sendable (Int, UnsafeRawBufferPointer) throws -> Void = { _, _ in }
    ) async throws -> Wave {
        let work = ListWork(requests, expecting: 200, onAnswer: onAnswer)
        return try await wave(of: count, from: server, remembering: memory, profiler) {
            try await Pump.run(work, connections: connections, to: server.address).began
        }
    }

    /// Runs `cause`, which says when it began, and waits until `count` webhooks are delivered and recorded.
    func wave(
        of count: Int, from server: ServerUnderTest, remembering memory: Receiver.Memory = .webhookIDs,
        _ profiler: Profiler = Profiler(), _ cause: () async throws -> ContinuousClock.Instant
    ) async throws -> Wave {
        receiver.expect(count, remembering: memory)
        return try await profiler.during(server.pid) {
            let meter = try Meter(server.pid, postgres: server.store.postgres)
            let began = try await cause()
            let received = try await receiver.reached(within: .seconds(300))
            let recorded = try await eventually("the record of the last outcome", within: .seconds(60)) {
                try server.number("SELECT count(*) FROM deliveries") == 0 ? ContinuousClock.now : nil
            }
            return Wave(
                began: began, received: received, recorded: recorded, repeated: receiver.requests - count,
                arrivals: receiver.arrivals, meter: try meter.read()
            )
        }
    }

    /// Nothing is quoted that the store does not confirm.
    func confirm(_ count: Int, acknowledged sql: String, in server: ServerUnderTest) throws {
        let recorded = try server.number(sql)
        guard recorded == count else { throw Failure("\(recorded) of \(count) are recorded as acknowledged") }
        guard receiver.bodyBytes == PayoutTexts.webhookBytes else {
            throw Failure("the server sent bodies of \(receiver.bodyBytes) bytes")
        }
    }
}
