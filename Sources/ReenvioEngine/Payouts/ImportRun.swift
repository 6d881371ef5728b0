package import ReenvioModel
package import ReenvioStore

/// One import from its first line to its last: while a batch is being written, the next one is read and checked.
///
/// It has the lowest right to the writer (`docs/architecture.md`, rule 6), also where a server in another process needs
/// it: after each write the store is left free for a part of the time that the write took, and where writes take longer
/// than they should, the next ones are smaller.
package struct ImportRun: Sendable {
    package struct Totals: Equatable, Sendable {
        package var imported: Int64 = 0
        package var unchanged: Int64 = 0
        package var refused: Int64 = 0

        package init(imported: Int64 = 0, unchanged: Int64 = 0, refused: Int64 = 0) {
            self.imported = imported
            self.unchanged = unchanged
            self.refused = refused
        }

        package var lines: Int64 { imported + unchanged + refused }
    }

    /// What an import says while it runs.
    package enum Event: Sendable {
        case refused(line: Int, ImportRefusal)
        /// A batch is stored: everything so far, and the bytes of the input that are behind it.
        case stored(Totals, bytes: Int64)
    }

    private let store: Store
    private let reader: ImportReader
    private let clock: any TimeSource
    private let entropy: any Entropy
    private let idsTo: Int64

    /// - Parameter idsTo: the largest id that is to come, as far as known: what comes through a pipe is read once.
    package init(
        store: Store, reader: ImportReader, clock: any TimeSource, entropy: any Entropy, idsTo: Int64 = 0
    ) {
        self.idsTo = idsTo
        self.store = store
        self.reader = reader
        self.clock = clock
        self.entropy = entropy
    }

    /// Somewhat below what a write is allowed: whoever waits for one has something to do of his own.
    private static let writeAim: Duration = .milliseconds(20)
    /// Whoever waits looks again every millisecond.
    private static let partLeftFree = 4
    private static let reservingAttempts = 10

    /// - Throws: `ImportReader.Failed` or `StoreError`; what was stored before stays, and running again goes on there.
    package func run(_ tell: (Event) -> Void) async throws -> Totals {
        var reserved = max(idsTo, try await reader.largestID() ?? 0)
        if reserved > 0 { try await reserve(upTo: reserved) }
        var totals = Totals()
        var size = Limits.importLinesPerCommit
        var next = try await reader.next(atMost: size)
        while let batch = next {
            let nextSize = size
            async let following = reader.next(atMost: nextSize)
            let largest = batch.payouts.lazy.compactMap(\.id).max() ?? 0
            if largest > reserved {
                reserved = min(largest + Limits.importIDStep, Limits.importedIDMax)
                try await reserve(upTo: reserved)
            }
            let began = clock.engine
            try await write(batch, &totals, tell)
            let took = clock.engine - began
            tell(.stored(totals, bytes: batch.bytesRead))
            try await Task.sleep(for: took / Self.partLeftFree)
            next = try await following
            size = Self.size(after: batch.lines.count, took: took)
        }
        return totals
    }

    /// Reserves ids, in a commit of its own before the lines that need them: payouts that others create meanwhile get
    /// larger ones. It waits for transactions of others, and lets them pass where one takes long.
    private func reserve(upTo id: Int64) async throws {
        for attempt in 1... {
            do {
                return try await store.reservePayoutIDs(upTo: id)
            } catch StoreError.unavailable(let why) {
                if attempt == Self.reservingAttempts { throw StoreError.unavailable("ids are not reserved: \(why)") }
                try await Task.sleep(for: .milliseconds(500))
            }
        }
    }

    /// How many lines to write at once, after so many took so long: as many as the aim allows, within bounds.
    package static func size(after lines: Int, took: Duration) -> Int {
        let fitting = Int64(lines) * writeAim.microseconds / max(1, took.microseconds)
        return Int(min(max(fitting, Int64(Limits.importLinesPerCommitMin)), Int64(Limits.importLinesPerCommit)))
    }

    private func write(_ batch: ImportBatch, _ totals: inout Totals, _ tell: (Event) -> Void) async throws {
        let payouts = batch.payouts
        let nonces = payouts.map { _ in entropy.next() }
        let outcomes =
            payouts.isEmpty ? [] : try await store.importPayouts(payouts, now: clock.wall, nonces: nonces)
        var rest = outcomes[...]
        for (number, content) in batch.lines {
            let outcome: ImportOutcome?
            switch content {
            case .payout: outcome = rest.popFirst()
            case .refused(let refusal): outcome = .refused(refusal)
            }
            switch outcome {
            case .imported: totals.imported += 1
            case .unchanged: totals.unchanged += 1
            case .refused(let refusal):
                totals.refused += 1
                tell(.refused(line: number, refusal))
            case nil: break
            }
        }
    }
}
