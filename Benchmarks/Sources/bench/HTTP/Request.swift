import NIOCore

/// A POST with a body, or a GET without, where nothing else is said.
struct Request: Sendable {
    var method: String?
    var path: String
    var headers: [(String, String)] = []
    var body = ""

    func bytes(host: String) -> ByteBuffer {
        var text = "\(method ?? (body.isEmpty ? "GET" : "POST")) \(path) HTTP/1.1\r\nhost: \(host)\r\n"
        if !body.isEmpty { text += "content-length: \(body.utf8.count)\r\n" }
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        text += "\r\n"
        var buffer = ByteBuffer()
        buffer.reserveCapacity(text.utf8.count + body.utf8.count)
        buffer.writeString(text)
        buffer.writeString(body)
        return buffer
    }
}

extension Request {
    /// What the server would send, byte for byte as long: its headers and a body of 300 bytes.
    static let webhook = Request(
        path: PayoutTexts.webhookPath,
        headers: [
            ("content-type", "application/json"),
            ("user-agent", "Reenvio/1.0"),
            ("webhook-id", "msg_00000000002H7A3YVQ5N8K0RGD"),
            ("webhook-timestamp", "1774339532"),
            ("webhook-signature", "v1,V8/13iwdOWzl+dOKuduaSOsud7aPuVyVT68OYyVvwjA="),
            ("x-webhook-wp-signature", "Bearer 3caf3d3335f4a02b916602ab0ee891bfd0273a7bacbbe3f611735471b7a94954"),
            ("x-webhook-attempt", "1"),
            ("x-webhook-attempt-id", "0f8fad5bd9cb469fa16570867728950e"),
            ("x-webhook-sequence", "2"),
        ],
        body: PayoutTexts.webhookBody(id: 12_345)
    )
}
