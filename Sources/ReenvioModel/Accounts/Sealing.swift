import Crypto
import Foundation

/// Encrypts what must be readable again but never lie open in the store: signing secrets and people's data
/// (`docs/architecture.md`, rule 15). AES-256-GCM; the context is authenticated, so that a sealed value moved to
/// another row does not open.
package struct SealingKey: Sendable {
    package enum Fault: Error, Equatable {
        case wrongKey, damaged
    }

    private let key: SymmetricKey
    /// Names the key beside each sealed value: 8 hex digits of its hash.
    package let id: String

    /// Nil unless there are exactly 32 bytes.
    package init?(bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        key = SymmetricKey(data: bytes)
        id = Hex.text(SHA256.hash(data: Array("reenvio sealing key".utf8) + bytes).prefix(4))
    }

    /// Nil unless the text is the base64 of 32 bytes, as `REENVIO_ENCRYPTION_KEY` has it.
    package init?(base64 text: String) {
        guard let data = Data(base64Encoded: text) else { return nil }
        self.init(bytes: Array(data))
    }

    package func seal(_ plain: [UInt8], context: String) throws -> [UInt8] {
        let box = try AES.GCM.seal(plain, using: key, authenticating: Array(context.utf8))
        return Array(box.nonce) + Array(box.ciphertext) + Array(box.tag)
    }

    package func open(_ sealed: [UInt8], keyID: String, context: String) throws -> [UInt8] {
        guard keyID == id else { throw Fault.wrongKey }
        do {
            let box = try AES.GCM.SealedBox(combined: sealed)
            return Array(try AES.GCM.open(box, using: key, authenticating: Array(context.utf8)))
        } catch {
            throw Fault.damaged
        }
    }
}
