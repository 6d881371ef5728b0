import Crypto
import Foundation
import ReenvioModel
import ReenvioTesting

/// A token taken apart, and put together again with whatever a test wants in it.
struct AccessToken: Sendable {
    struct Malformed: Error {}

    let text: String

    init(text: String) {
        self.text = text
    }

    /// Out of an answer of the token endpoint.
    init(answer: String) throws {
        guard case .object(let object) = try JSONParser.parse(Array(answer.utf8)),
            case .string(let text)? = object["access_token"]
        else { throw Malformed() }
        self.init(text: text)
    }

    /// One made by hand, signed with HMAC-SHA256.
    init(header: String, claims: String, key: [UInt8]) {
        let signed = Self.base64URL(Array(header.utf8)) + "." + Self.base64URL(Array(claims.utf8))
        let code = HMAC<SHA256>.authenticationCode(for: Array(signed.utf8), using: SymmetricKey(data: key))
        text = signed + "." + Self.base64URL(Array(code))
    }

    /// One with the header of this server and the claims of a token that is valid now, but for what is replaced.
    init(
        userID: String = "246", by key: TokenKey, now: Timestamp = Fixtures.start, type: String = "access",
        expiry: Int64? = nil, header: String? = nil
    ) {
        let header = header ?? #"{"alg":"HS256","typ":"JWT","kid":"\#(key.id)"}"#
        let claims =
            #"{"token_type":"\#(type)","exp":\#(expiry ?? now.seconds + 3_600),"iat":\#(now.seconds),"#
            + #""jti":"00112233445566778899aabbccddeeff","user_id":\#(userID)}"#
        self.init(header: header, claims: claims, key: key.secret)
    }

    /// Header and claims as objects.
    func parts() throws -> (header: JSONObject, claims: JSONObject) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { Self.decoded(String($0)) }
        guard parts.count == 3, case .object(let header) = try JSONParser.parse(parts[0]),
            case .object(let claims) = try JSONParser.parse(parts[1])
        else { throw Malformed() }
        return (header, claims)
    }

    static func base64URL(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    private static func decoded(_ text: String) -> [UInt8] {
        let plain = text.replacing("-", with: "+").replacing("_", with: "/")
        return Array(Data(base64Encoded: plain + String(repeating: "=", count: (4 - plain.count % 4) % 4)) ?? Data())
    }
}
