import Foundation
package import ReenvioModel
package import ReenvioStore

/// The engines that the store suite runs on.
package enum TestEngine: String, CaseIterable, Sendable, CustomStringConvertible {
    case sqlite, postgres

    /// What suites run on that are about something else: `REENVIO_TEST_STORE=postgres` runs them on PostgreSQL.
    package static let standard =
        ProcessInfo.processInfo.environment["REENVIO_TEST_STORE"].flatMap(TestEngine.init)
        ?? .sqlite

    package var description: String { rawValue }

    /// A new engine with nothing in it.
    package func open(in folder: ScratchFolder) throws -> any StoreEngine {
        let engine: any StoreEngine =
            switch self {
            case .sqlite: try SQLiteEngine(path: folder.path + "/store.db")
            case .postgres: try PostgresEngine(try TestPostgres.shared.newSchema(), readers: 2, writers: 3)
            }
        return StatementBook.current.map { RecordingEngine(engine, in: $0) } ?? engine
    }
}

/// A folder that is gone when its last user is; in memory where the system has such a place.
package final class ScratchFolder: Sendable {
    package let path: String

    package init() throws {
        let shared = "/dev/shm"
        let base = FileManager.default.isWritableFile(atPath: shared) ? shared : NSTemporaryDirectory()
        path = base + "/reenvio-test-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }
}

package enum Fixtures {
    package static let start = Timestamp(seconds: 1_774_339_200)
    package static let accountID: Int64 = 1
    package static let merchantID: Int64 = 303
    package static let receiverURL = "https://a.example/hook"

    package static var sealingKey: SealingKey {
        get throws {
            guard let key = SealingKey(bytes: Array(0..<32)) else { throw Missing() }
            return key
        }
    }

    package static var signingSecret: SigningSecret {
        get throws {
            guard let secret = SigningSecret("whsec_dGVzdC1zaWduaW5nLXNlY3JldC0wMDAx") else { throw Missing() }
            return secret
        }
    }

    package struct Missing: Error {
        package init() {}
    }

    package static let parties = Parties(
        beneficiary: Parties.Beneficiary(
            name: "Maria Beneficiary", documentType: "CPF", documentNumber: "82608288200", birthdate: nil, phone: nil,
            address: Parties.Address()
        ),
        pix: Parties.Pix(pixKey: "82608288200")
    )

    package static func draft(
        invoice: String, url: String? = receiverURL, minor: Int64 = 4_334
    ) throws -> PayoutDraft {
        PayoutDraft(
            merchantID: nil, invoice: invoice, amount: Money(minor: minor, currency: "BRL"),
            notificationURL: try url.map { try ReceiverURL(parsing: $0, policy: AddressPolicy()) }, parties: parties
        )
    }

    /// A new store on an engine, with one account, and one merchant for each id.
    package static func store(
        _ engine: TestEngine = .standard, in folder: ScratchFolder, merchants: [Int64] = [merchantID],
        outbox: NoticeOutbox? = nil,
        wrapping wrap: (any StoreEngine) -> any StoreEngine = { $0 }
    ) async throws -> Store {
        let anchored = AnchoredEngine(base: wrap(try engine.open(in: folder)), folder: folder)
        let store = try await Store.open(
            engine: anchored, sealing: try sealingKey, outbox: outbox, now: start
        ).store
        let account = try await store.createAccount(name: "Platform", actor: "test", now: start)
        for id in merchants {
            let merchant = NewMerchant(id: id, accountID: account, name: "Shop \(id)", signingSecret: try signingSecret)
            _ = try await store.createMerchant(merchant, actor: "test", now: start)
        }
        return store
    }
}

/// Keeps the scratch folder for as long as the store lives.
private struct AnchoredEngine: StoreEngine {
    let base: any StoreEngine
    let folder: ScratchFolder

    func read<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        try await base.read(body)
    }

    func lookup<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        try await base.lookup(body)
    }

    func write<T: Sendable>(
        _ priority: WritePriority, _ body: @escaping @Sendable (any SQLConnection) throws -> T
    ) async throws -> T {
        try await base.write(priority, body)
    }

    var sharing: (any StoreSharing)? { base.sharing }
    var files: (any StoreFiles)? { base.files }

    var idRepairs: Int { base.idRepairs }

    func close() throws {
        try base.close()
    }
}

extension Store {
    /// Creates payouts one second before `start` and returns their ids.
    package func createPayouts(
        _ count: Int, merchantID: Int64 = Fixtures.merchantID, prefix: String = "inv",
        url: String? = Fixtures.receiverURL,
        now: Timestamp = Fixtures.start - .seconds(1)
    ) async throws -> [Int64] {
        let creates = try (0..<count).map {
            IntakeBatch.NewPayout(
                draft: try Fixtures.draft(invoice: "\(prefix)-\($0)", url: url), merchantID: merchantID)
        }
        let result = try await commitIntake(IntakeBatch(creates: creates), now: now, due: now, nonces: [])
        return result.creates.compactMap { if case .payout(let id) = $0 { id } else { nil } }
    }

    /// Reports one status for each payout.
    @discardableResult
    package func report(
        _ status: PayoutStatus, _ ids: [Int64], at now: Timestamp = Fixtures.start, due: Timestamp? = nil
    ) async throws -> IntakeResult {
        let changes = ids.map { StatusChangeRequest(payoutID: $0, status: status) }
        return try await commitIntake(
            IntakeBatch(changes: changes), now: now, due: due ?? now, nonces: ids.map { UInt64($0) &* 7_919 }
        )
    }

    /// The first column of the first row, as a number.
    package func number(_ sql: String, _ parameters: [SQLValue] = []) async throws -> Int64? {
        try await engine.read { db in try db.first(sql, parameters) { $0.intIfPresent(0) } ?? nil }
    }

    /// Every row of the given number of integer columns; null is `Int64.min`.
    package func rows(_ sql: String, columns: Int, _ parameters: [SQLValue] = []) async throws -> [[Int64]] {
        try await engine.read { db in
            try db.all(sql, parameters) { row in (0..<columns).map { row.intIfPresent($0) ?? Int64.min } }
        }
    }
}
