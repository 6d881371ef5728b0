import Foundation
import NIOCore

/// Receivers of several merchants that acknowledge nothing, each an origin of its own: half of them paused, a quarter
/// refuses connections and gets enough to open its breaker, a quarter accepts them and never answers.
final class DeadReceivers: Sendable {
    /// More than the failures that open a breaker.
    private static let perRefusing = 12
    private static let perOther = 2
    /// Nobody listens there.
    private static let closedPort = 9

    private enum Sort: CaseIterable {
        case paused, refusing, pausedToo, swallowing
    }

    private struct Payout: Sendable {
        var merchantID: Int
        var url: String
        /// Reported before the pause, so that the receiver is known and can be paused.
        var isFirst: Bool
        var isOfPaused: Bool
    }

    private let payouts: [Payout]
    private let sockets: [Int32]

    init(count: Int, merchants: [Int]) throws {
        var payouts: [Payout] = []
        var sockets: [Int32] = []
        defer { if sockets.count < count / 4 { for socket in sockets { close(socket) } } }
        for number in 0..<count {
            let host = "127.2.\(number / 250).\(number % 250 + 1)"
            let sort = Sort.allCases[number % 4]
            var port = Self.closedPort
            if sort == .swallowing {
                let (socket, bound) = try Self.listenOnly(host)
                sockets.append(socket)
                port = bound
            }
            let url = PayoutTexts.webhookURL(Address(host: host, port: port))
            for index in 0..<(sort == .refusing ? Self.perRefusing : Self.perOther) {
                payouts.append(
                    Payout(
                        merchantID: merchants[number % merchants.count], url: url, isFirst: index == 0,
                        isOfPaused: sort == .paused || sort == .pausedToo))
            }
        }
        self.payouts = payouts
        self.sockets = sockets
    }

    deinit {
        for socket in sockets { close(socket) }
    }

    /// Imports their payouts, not yet due, with ids from `first` + 1 on, and returns the ids.
    func importPayouts(from first: Int, into store: FreshStore) throws -> [Int] {
        var ids: [Int] = []
        for merchantID in Set(payouts.map(\.merchantID)).sorted() {
            let urls = payouts.lazy.filter { $0.merchantID == merchantID }.map(\.url)
            let (from, own) = (first + ids.count, Array(urls))
            ids += try store.importPayouts(
                from..<from + own.count,
                ImportedKind(merchantID: merchantID, status: PayoutTexts.waitingStatus, isPadded: true) {
                    own[$0 - from]
                })
        }
        return ids
    }

    /// Reports the payouts as paid with `report`, those of the receivers to pause in between.
    func spoil(
        _ server: ServerUnderTest, _ ids: [Int], _ report: ([Int]) async throws -> Void
    ) async throws {
        // In the order in which they were imported.
        let merchants = Set(payouts.map(\.merchantID)).sorted()
        let known = zip(ids, merchants.flatMap { merchantID in payouts.filter { $0.merchantID == merchantID } })
        try await report(known.filter { $1.isOfPaused && $1.isFirst }.map(\.0))
        let receivers = try server.store.numbers(
            "SELECT id FROM receivers WHERE merchant_id <> \(ServerUnderTest.merchantID) AND is_known = 1")
        let host = server.address.description
        let pauses = ListWork(count: receivers.count, expecting: 200) { index in
            Request(method: "POST", path: "/v2/receivers/\(receivers[index])/pause", headers: server.headers())
                .bytes(host: host)
        }
        try await Pump.run(pauses, connections: 16, to: server.address)
        try await report(known.filter { !($1.isOfPaused && $1.isFirst) }.map(\.0))
    }

    /// A socket that completes connections and reads nothing.
    private static func listenOnly(_ host: String) throws -> (socket: Int32, port: Int) {
        let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        inet_pton(AF_INET, host, &address.sin_addr)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(file, $0, length) == 0 && listen(file, 128) == 0 && getsockname(file, $0, &length) == 0
            }
        }
        guard file >= 0, isListening else {
            close(file)
            throw Failure("\(host) cannot be listened at: \(String(cString: strerror(errno)))")
        }
        return (file, Int(UInt16(bigEndian: address.sin_port)))
    }
}
