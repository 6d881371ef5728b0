extension Store {
    /// Reserves the ids of payouts up to `id` for lines of an import: from the commit on, payouts that are created get
    /// larger ones. It waits for the transactions that have drawn one, so each id up to `id` is stored already or free.
    /// - Throws: `StoreError.locked` where one of them takes longer than two seconds; nothing is reserved then.
    package func reservePayoutIDs(upTo id: Int64) async throws {
        try await engine.write(.bulk) { db in
            for statement in db.dialect.beforeReserving(.payout) { try db.run(statement) }
            try db.pass(.payout, id)
        }
    }
}
