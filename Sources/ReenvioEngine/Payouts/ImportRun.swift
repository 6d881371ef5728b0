package import ReenvioModel
package import ReenvioStore

/// One import from its first line to its last: while a batch is being written, the next one is read and checked. After
/// each write the store is left free for a part of the time that the write took, so that a server on the same store gets
/// its turn before the next one, however slow the machine is just now (`docs/architecture.md`, rule 6).
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

    package init(store: Store, reader: ImportReader, clock: any TimeSource, entropy: any Entropy) {
        self.store = store
        self.reader = reader
        self.clock = clock
        self.entropy = entropy
    }

    /// A write takes about 20 ms, and whoever waits for it looks again every millisecond.
    private static let partLeftFree = 8

    /// - Throws: `ImportReader.Failed` or `StoreError`; what was stored before stays, and running again goes on there.
    package func run(_ tell: (Event) -> Void) async throws -> Totals {
        var totals = Totals()
        var next = try await reader.next()
        while let batch = next {
            async let following = reader.next()
            let began = clock.engine
            try await write(batch, &totals, tell)
            let pause = (clock.engine - began) / Self.partLeftFree
            tell(.stored(totals, bytes: batch.bytesRead))
            try await Task.sleep(for: pause)
            next = try await following
        }
        return totals
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
