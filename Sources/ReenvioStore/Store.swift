package import ReenvioModel

/// Every transaction and query of the product. The files in `Transactions/` and `Queries/` extend it, one each.
/// Engine and API code never sees a connection.
package struct Store: Sendable {
    package let engine: any StoreEngine
    /// Seals and opens secrets and people's data.
    package let sealing: SealingKey
    /// Where notices for the operator are written; nil where there is nobody to tell.
    package let outbox: NoticeOutbox?

    /// Opens the store and brings its schema up to date; `applied` are the versions applied now.
    /// - Throws: `StoreError`; also when `sealing` is not the key the store was made with, and, unless that is allowed,
    ///   for the target of a copy that has not ended.
    package static func open(
        engine: any StoreEngine, sealing: SealingKey, outbox: NoticeOutbox? = nil, now: Timestamp,
        allowingUnfinishedCopy: Bool = false
    ) async throws -> (store: Store, applied: [Int64]) {
        let store = Store(engine: engine, sealing: sealing, outbox: outbox)
        return (store, try await store.migrate(now: now, allowingUnfinishedCopy: allowingUnfinishedCopy))
    }

    /// Applies missing migrations and returns their versions. One at a time: the transaction takes the writer's lock.
    /// Looks for an unfinished copy in the same transaction: a SQLite file whose readers
    /// were used keeps its log at the end.
    func migrate(now: Timestamp, allowingUnfinishedCopy: Bool = false) async throws -> [Int64] {
        let keyID = sealing.id
        // On a server as bulk work, which takes what it takes.
        return try await engine.write(engine.sharing == nil ? .intake : .bulk) { db in
            let applied = try Schema.migrate(db, now: now)
            try db.run(
                "INSERT INTO meta (name, value) VALUES ('sealing_key_id', $1) ON CONFLICT DO NOTHING", [.text(keyID)]
            )
            let known = try db.first("SELECT value FROM meta WHERE name = 'sealing_key_id'") { $0.text(0) }
            guard known == keyID else {
                throw StoreError.unavailable("the encryption key is not the one this store was made with")
            }
            if !allowingUnfinishedCopy, try StoreCopy.isUnfinished(in: db) {
                throw StoreError.unavailable(
                    "it is the target of a copy that has not ended; run `reenvio copy` again")
            }
            return applied
        }
    }

    /// Tells other nodes that there is work for them.
    package func announceWork() {
        engine.sharing?.announce()
    }

    /// As much as a small request writes: where that does not fit on the disk, the store is not ready, even though a
    /// single row would still find a place. Made of the time: SQLite writes no page that stays as it was.
    private static func probeText(_ now: Timestamp) -> String {
        let time = "\(now.microseconds) "
        return String(repeating: time, count: (96 << 10) / time.utf8.count)
    }

    /// Whether the store takes writes now: one, committed. Throws `StoreError` when it does not.
    package func probe(now: Timestamp) async throws {
        try await engine.write(.changes) { db in
            var rows = SQLRows([("value", .text)])
            rows.append([.text(Self.probeText(now))])
            // Together with the commit: a node that vanishes leaves no lock that makes all others look ill.
            try db.send(
                """
                INSERT INTO meta (name, value) SELECT 'probe', rows.value FROM {rows} WHERE true
                ON CONFLICT (name) DO UPDATE SET value = excluded.value
                """, rows)
            return ()
        }
    }

    package func close() throws {
        try engine.close()
    }
}
