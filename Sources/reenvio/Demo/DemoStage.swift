import Foundation
import Logging
import NIOCore
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ServiceLifecycle
import Synchronization
import UnixSignals

/// A scratch store with a real server and a real receiver on loopback; everything is gone afterwards.
struct DemoStage: Sendable {
    struct Actors: Sendable {
        var store: Store
        var receiver: WebhookReceiver
        var receiverURL: String
        var operatorClient: DemoClient
        var shopClient: DemoClient
    }

    static let shop: Int64 = 303
    static let market: Int64 = 304

    /// Sets the stage, plays, and clears it, whatever happens.
    static func play(_ story: @escaping @Sendable (Actors) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("reenvio-demo-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let settings = try await SettingsReader(flags: flags(folder), environment: [:], file: "/nonexistent").settings()
        let store = try await settings.openStore(now: Terminal.now)
        var generator = SystemRandomNumberGenerator()
        let secrets = [SigningSecret(using: &generator), SigningSecret(using: &generator)]
        let keys = try await populate(store, secrets)
        let receiver = WebhookReceiver(secrets: secrets)
        let serverAddress = Announced()
        let receiverAddress = Announced()
        let logger = LogSetup.logger(settings)
        let services = try Wiring.services(settings: settings, store: store, logger: logger) { addresses in
            serverAddress.announce(addresses.listening)
        }
        let receiving = receiver.application(host: "127.0.0.1", port: 0) { bound in
            receiverAddress.announce("127.0.0.1:\(bound?.port ?? 0)")
        }
        let group = ServiceGroup(
            configuration: .init(
                services: services + [receiving], gracefulShutdownSignals: [.sigint, .sigterm], logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            tasks.addTask {
                let server = try await serverAddress.text()
                let receiverURL = "http://" + (try await receiverAddress.text())
                let actors = Actors(
                    store: store, receiver: receiver, receiverURL: receiverURL,
                    operatorClient: try client(server, keys.operator), shopClient: try client(server, keys.shop)
                )
                do {
                    try await story(actors)
                } catch {
                    await group.triggerGracefulShutdown()
                    throw error
                }
                await group.triggerGracefulShutdown()
            }
            try await tasks.waitForAll()
        }
        try store.close()
    }

    /// A first retry after five minutes, so that what fails is seen waiting while the story goes on.
    private static func flags(_ folder: URL) -> [SettingName: String] {
        [
            .store: "sqlite:\(folder.path)/demo.db", .listen: "127.0.0.1:0", .allowHTTPReceivers: "true",
            .allowPrivateReceivers: "127.0.0.0/8", .retrySchedule: "0s,5m,30m,2h", .log: "error",
        ]
    }

    private static func client(_ address: String, _ key: String) throws -> DemoClient {
        guard let address = Settings.Address(address) else { throw DemoClient.Failed(description: "no address") }
        return DemoClient(host: address.host, port: address.port, key: key)
    }

    private static func populate(
        _ store: Store, _ secrets: [SigningSecret]
    ) async throws -> (operator: String, shop: String) {
        let now = Terminal.now
        var accounts: [Int64: Int64] = [:]
        // Each customer has an account of its own: one never sees the other's payouts.
        for ((id, name), secret) in zip([(shop, "Corner Shop"), (market, "Open Market")], secrets) {
            let account = try await store.createAccount(name: name, actor: "demo", now: now)
            let merchant = NewMerchant(id: id, accountID: account, name: name, signingSecret: secret)
            accounts[id] = account
            _ = try await store.createMerchant(merchant, actor: "demo", now: now)
        }
        return (try await key(store, account: nil, now), try await key(store, account: accounts[shop], now))
    }

    private static func key(_ store: Store, account: Int64?, _ now: Timestamp) async throws -> String {
        var generator = SystemRandomNumberGenerator()
        let text = APIKeyText(using: &generator)
        let key = APIKey(
            id: text.id, name: "demo", accountID: account, scopes: account == nil ? [] : Scope.defaults,
            hasEveryScope: account == nil, cidrs: [], expiresAt: nil, revokedAt: nil, createdAt: now
        )
        try await store.createKey(key, text: text, actor: "demo", now: now)
        return text.text
    }
}

/// A text that somebody waits for.
private final class Announced: Sendable {
    private let value = Mutex<String?>(nil)
    private let bell = Doorbell()

    func announce(_ text: String) {
        value.withLock { $0 = text }
        bell.ring()
    }

    func text() async throws -> String {
        while true {
            if let text = value.withLock({ $0 }) { return text }
            try Task.checkCancellation()
            await bell.wait(atMost: .seconds(1), on: DemoClock.loop)
        }
    }
}
