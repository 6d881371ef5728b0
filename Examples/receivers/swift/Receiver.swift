// Receives Reenvio's webhooks with Hummingbird 2 and swift-crypto: verifies, stores, answers 200.
//
//     WEBHOOK_SECRET=whsec_... EVENTS_FILE=events.jsonl swift run ReceiverExample 9000
//
// It listens on 127.0.0.1; a web server in front of it speaks HTTPS. The work is done later, by whoever reads the
// events.

import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore

let bodyBytesMax = 64 * 1024
let toleranceSeconds = 300.0

/// The key behind `whsec_`. Too short a key is refused: with an empty one anybody could sign.
func signingKey(_ secret: String) -> SymmetricKey? {
    guard secret.hasPrefix("whsec_"), let bytes = Data(base64Encoded: String(secret.dropFirst(6))), bytes.count >= 24
    else { return nil }
    return SymmetricKey(data: bytes)
}

/// Whether the webhook was signed with the key, not long ago. `body` is the bytes as they came in.
func isGenuine(_ body: [UInt8], _ headers: HTTPFields, _ key: SymmetricKey, now: Date) -> Bool {
    let id = headers.text("webhook-id")
    let timestamp = headers.text("webhook-timestamp")
    let signed = Array("\(id).\(timestamp).".utf8) + body
    // There are several signatures while a secret is being changed. One that fits is enough.
    let fits = headers.text("webhook-signature").split(separator: " ").contains { one in
        guard one.hasPrefix("v1,"), let code = Data(base64Encoded: String(one.dropFirst(3))) else { return false }
        return HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: signed, using: key)  // in constant time
    }
    guard fits, !id.isEmpty, let seconds = Int64(timestamp) else { return false }
    return abs(now.timeIntervalSince1970 - Double(seconds)) <= toleranceSeconds
}

struct Event: Codable {
    let webhookID: String
    let payoutID: Int64
    let sequence: Int64
    let body: String

    enum CodingKeys: String, CodingKey {
        case webhookID = "webhook_id", payoutID = "payout_id", sequence, body
    }
}

/// The accepted events, one JSON document a line. In your system: a table with a unique index on `webhook_id`.
actor Events {
    private let file: FileHandle
    private var seen: Set<String> = []
    private var newest: [Int64: Int64] = [:]

    init(path: String) throws {
        let descriptor = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw CocoaError(.fileReadUnknown) }
        file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        for line in (try file.readToEnd() ?? Data()).split(separator: UInt8(ascii: "\n")) {
            // What is no event is a line that a crash cut off before it was acknowledged.
            guard let event = try? JSONDecoder().decode(Event.self, from: line) else { continue }
            seen.insert(event.webhookID)
            newest[event.payoutID] = max(event.sequence, newest[event.payoutID] ?? 0)
        }
    }

    /// Returns once the event is on disk. One that is known already, or older than what is known, changes nothing.
    func take(_ event: Event) throws {
        if seen.contains(event.webhookID) || event.sequence < newest[event.payoutID] ?? 0 { return }
        // A line break in front, too: whatever a crash cut off cannot spoil this line.
        try file.write(contentsOf: Data("\n".utf8) + JSONEncoder().encode(event) + Data("\n".utf8))
        guard fsync(file.fileDescriptor) == 0 else { throw CocoaError(.fileWriteUnknown) }
        seen.insert(event.webhookID)
        newest[event.payoutID] = event.sequence
    }
}

extension HTTPFields {
    /// Empty when the header is absent.
    func text(_ name: String) -> String {
        HTTPField.Name(name).flatMap { self[$0] } ?? ""
    }
}

@main
struct Receiver {
    let key: SymmetricKey
    let events: Events

    func receive(_ request: Request) async throws -> HTTPResponse.Status {
        // A body that is too long ends here, and is answered with 413.
        let buffer = try await request.body.collect(upTo: bodyBytesMax)
        let body = Array(buffer.readableBytesView)
        guard isGenuine(body, request.headers, key, now: .now) else { return .unauthorized }
        struct Payout: Decodable { let id: Int64 }
        guard let payout = try? JSONDecoder().decode(Payout.self, from: Data(body)),
            let sequence = Int64(request.headers.text("x-webhook-sequence"))
        else { return .badRequest }
        let event = Event(
            webhookID: request.headers.text("webhook-id"), payoutID: payout.id, sequence: sequence,
            body: String(decoding: body, as: UTF8.self))
        // What could not be stored is not acknowledged: the error becomes a 500, and the webhook comes again.
        try await events.take(event)
        return .ok
    }

    static func main() async throws {
        let environment = ProcessInfo.processInfo.environment
        guard let key = signingKey(environment["WEBHOOK_SECRET"] ?? ""), let path = environment["EVENTS_FILE"],
            let port = CommandLine.arguments.last.flatMap({ Int($0) })
        else {
            FileHandle.standardError.write(Data("WEBHOOK_SECRET, EVENTS_FILE or the port is missing or wrong\n".utf8))
            exit(1)
        }
        let receiver = Receiver(key: key, events: try Events(path: path))
        let router = Router()
        for path in ["/", "**"] as [RouterPath] {
            router.post(path) { request, _ in try await receiver.receive(request) }
        }
        let http = HTTPServerBuilder.http1(configuration: .init(idleTimeout: .seconds(75)))
        let address = ApplicationConfiguration(address: .hostname("127.0.0.1", port: port))
        try await Application(router: router, server: http, configuration: address).runService()
    }
}
