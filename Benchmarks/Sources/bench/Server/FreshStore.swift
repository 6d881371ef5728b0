import Foundation

/// Where a store lies.
enum StoreKind: String, CaseIterable, Sendable {
    case sqlite, postgres
}

/// A new store with merchants and an operator key, in a folder of its own, and the commands that work on it.
struct FreshStore: Sendable {
    let binary: String
    let folder: String
    let settings: [String: String]
    let operatorKey: String
    /// Its server, where it is not a file.
    let postgres: PrivatePostgres?

    private struct KeyLine: Decodable {
        var key: String
    }

    static func make(
        _ binary: String, schedule: String, merchants: [Int], on kind: StoreKind = .sqlite
    ) async throws -> FreshStore {
        let folder = try Cleanup.makeFolder()
        let postgres = kind == .postgres ? try await PrivatePostgres() : nil
        let settings = [
            "REENVIO_STORE": postgres?.uri ?? "sqlite:\(folder)/bench.db",
            "REENVIO_ENCRYPTION_KEY": Data(repeating: 7, count: 32).base64EncodedString(),
            "REENVIO_LISTEN": "127.0.0.1:0",
            "REENVIO_ALLOW_HTTP_RECEIVERS": "true",
            "REENVIO_ALLOW_PRIVATE_RECEIVERS": "127.0.0.0/8",
            "REENVIO_RETRY_SCHEDULE": schedule,
            "REENVIO_RATE_LIMITS": "off",
            "REENVIO_LOG": "warning",
        ]
        do {
            func command(_ arguments: String...) throws -> String {
                try Child.output(of: binary, arguments + ["--json"], environment: settings, folder: folder)
            }
            _ = try command("account", "create", "--name", "Benchmark")
            for merchant in merchants {
                _ = try command("merchant", "create", "--account", "1", "--id", "\(merchant)", "--name", "Benchmark")
            }
            let key = try command("key", "create", "--operator", "--name", "benchmark")
            let operatorKey = try JSONDecoder().decode(KeyLine.self, from: Data(key.utf8)).key
            return FreshStore(
                binary: binary, folder: folder, settings: settings, operatorKey: operatorKey, postgres: postgres)
        } catch {
            Cleanup.remove(folder: folder)
            await postgres?.stop()
            throw error
        }
    }

    /// Runs `body` on a new store, which is gone afterwards.
    static func with<T>(
        _ binary: String, merchants: [Int] = [ServerUnderTest.merchantID], _ body: (FreshStore) async throws -> T
    ) async throws -> T {
        try await make(binary, schedule: "0s,5s,5m", merchants: merchants).during(body)
    }

    /// Runs `body`, and removes the store, whatever happens.
    func during<T>(_ body: (FreshStore) async throws -> T) async throws -> T {
        do {
            let result = try await body(self)
            await remove()
            return result
        } catch {
            await remove()
            throw error
        }
    }

    /// Runs a command to its end and returns what it printed.
    func command(_ arguments: String...) throws -> String {
        try Child.output(of: binary, arguments, environment: settings, folder: folder)
    }

    /// Starts a command that runs beside the benchmark.
    func start(_ arguments: String...) throws -> Child {
        try Child(binary, arguments, environment: settings, folder: folder)
    }

    /// What a query of one number yields, asked from outside and without writing.
    func number(_ sql: String) throws -> Int {
        guard let number = try numbers(sql).first else { throw Failure("the store answered nothing") }
        return number
    }

    /// What a query of one column of numbers yields.
    func numbers(_ sql: String) throws -> [Int] {
        let text =
            try postgres?.query(sql)
            ?? Child.output(of: "/usr/bin/sqlite3", ["-readonly", "-cmd", ".timeout 2000", folder + "/bench.db", sql])
        return try text.split(whereSeparator: \.isNewline).map { line in
            guard let number = Int(line.trimmingCharacters(in: .whitespaces)) else {
                throw Failure("the store answered \(text)")
            }
            return number
        }
    }

    private func remove() async {
        Cleanup.remove(folder: folder)
        await postgres?.stop()
    }
}
