import ArgumentParser
import Foundation

struct NeighbourCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "neighbour",
        abstract: "What one merchant's live delivery loses by the bad receivers of others."
    )

    @OptionGroup var common: CommonOptions
    @OptionGroup var options: ServerOptions

    @Option(help: "Changes of the healthy merchant in each wave.")
    var payouts = 5_000

    @Option(help: "Deliveries to the receiver that answers after 6 s.")
    var slow = 5_000

    @Option(help: "Waves alone, and as many beside the others, a second between them.")
    var waves = 12

    @Option(help: "Receivers of the healthy merchant beside the dead ones.")
    var healthy = 100

    @Option(help: "Dead receivers of other merchants: half paused, a quarter refuses, a quarter swallows.")
    var dead = 4_900

    func validate() throws {
        guard waves > 0, (1...250).contains(healthy), dead >= 8 else {
            throw ValidationError("at least one wave, 1 to 250 healthy receivers, at least 8 dead ones")
        }
    }

    func run() async throws {
        Output.machine()
        let columns: [Table.Column] = [
            .init("alone s", digits: 3), .init("worst", digits: 3), .init("beside s", digits: 3),
            .init("worst", digits: 3), .init("ratio", digits: 3), .init("CPU us each", digits: 1),
            .init("beside", digits: 1), .init("open"), .init("receivers"), .init("paused"), .init("broken"),
            .init("others %"),
        ]
        let wave = "\(payouts) changes a wave"
        var slowly = Table(
            "\(wave) to one receiver; \(slow) of another merchant to one that answers after 6 s", columns)
        var many = Table("\(wave) to \(healthy) receivers; \(dead) dead receivers of 10 other merchants", columns)
        for _ in 0..<common.runs {
            slowly.add(try await measureSlow())
            many.add(try await measureDead())
        }
        slowly.print()
        many.print()
        Output.line(
            """
            alone, beside: from a wave's first change sent to its last webhook acknowledged, medians of \(waves) waves.
            All changes of the others are accepted before the first wave beside them. open: deliveries of the others
            that still wait at the end.
            """
        )
    }

    private static let badMerchants = Array(401...410)

    private func measureSlow() async throws -> [Double] {
        let slowReceiver = Receiver(answeringAfter: .seconds(6))
        let address = try await slowReceiver.start()
        let row = try await measure(healthyReceivers: 1) { store in
            let first = payouts * (2 * waves + 1)
            return try store.importPayouts(
                first..<first + slow,
                .at(address, merchantID: Self.badMerchants[0], status: PayoutTexts.waitingStatus))
        } spoil: { server, ids in
            try await report(ids, to: server)
        }
        try await slowReceiver.stop()
        return row
    }

    private func measureDead() async throws -> [Double] {
        let dead = try DeadReceivers(count: dead, merchants: Self.badMerchants)
        return try await measure(healthyReceivers: healthy) { store in
            try dead.importPayouts(from: payouts * (2 * waves + 1), into: store)
        } spoil: { server, ids in
            try await dead.spoil(server, ids) { try await report($0, to: server) }
        }
    }

    private func report(_ ids: [Int], to server: ServerUnderTest) async throws {
        let work = ListWork(Load(server: server).batches(ids), expecting: 200)
        try await Pump.run(work, connections: 4, to: server.address)
    }

    /// Waves of the healthy merchant alone, then as many after `spoil` has brought the others in.
    private func measure(
        healthyReceivers: Int, others: (FreshStore) throws -> [Int],
        spoil: (ServerUnderTest, [Int]) async throws -> Void
    ) async throws -> [Double] {
        let receiver = Receiver()
        var address = try await receiver.start(host: "127.1.0.1")
        let urls = try await (1...healthyReceivers).asyncMap { number in
            if number > 1 { address = try await receiver.start(host: "127.1.0.\(number)", port: address.port) }
            return PayoutTexts.webhookURL(address)
        }
        let merchants = [ServerUnderTest.merchantID] + Self.badMerchants
        let row = try await FreshStore.with(options.binary, merchants: merchants) { store in
            let kind = ImportedKind(
                status: PayoutTexts.waitingStatus, perSecond: 100, isPadded: true, url: { urls[$0 % urls.count] })
            var ids = try store.importPayouts(0..<payouts * (2 * waves + 1), kind)[...]
            let otherIDs = try others(store)
            return try await ServerUnderTest.with(store) { server in
                _ = try await Waves.run(1, of: payouts, &ids, server, receiver)
                let alone = try await options.profiler.part("alone").during(server.pid) {
                    try await Waves.run(waves, of: payouts, &ids, pause: .seconds(1), server, receiver)
                }
                try await spoil(server, otherIDs)
                let beside = try await options.profiler.part("beside").during(server.pid) {
                    try await Waves.run(waves, of: payouts, &ids, pause: .seconds(1), server, receiver)
                }
                return [
                    alone.median, alone.longest, beside.median, beside.longest, beside.median / alone.median,
                    alone.microsecondsEach, beside.microsecondsEach,
                    Double(try server.number("SELECT count(*) FROM deliveries")),
                    Double(try server.number("SELECT count(*) FROM receivers")),
                    Double(try server.number("SELECT count(*) FROM receivers WHERE paused_at IS NOT NULL")),
                    Double(try server.number("SELECT count(*) FROM receivers WHERE broken_at IS NOT NULL")),
                    max(alone.othersPercent, beside.othersPercent),
                ]
            }
        }
        try await receiver.stop()
        return row
    }
}

extension Sequence {
    /// One after the other.
    func asyncMap<T>(_ body: (Element) async throws -> T) async rethrows -> [T] {
        var results: [T] = []
        for element in self { results.append(try await body(element)) }
        return results
    }
}
