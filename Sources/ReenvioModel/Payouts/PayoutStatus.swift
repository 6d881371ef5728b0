/// The statuses of a payout, with the ids and names of the wire (`docs/contract.md` 1.1). Id 9 is not assigned.
package enum PayoutStatus: Int, Sendable, CaseIterable {
    case received = 1
    case processing = 2
    case paid = 3
    case rejected = 4
    case inReview = 5
    case canceled = 6
    case awaiting = 7
    case processed = 8
    case expired = 10
    case invalidData = 11

    package init?(id: Int64) {
        guard let raw = Int(exactly: id) else { return nil }
        self.init(rawValue: raw)
    }

    package var id: Int64 { Int64(rawValue) }

    package var name: String {
        switch self {
        case .received: "Received"
        case .processing: "Processing"
        case .paid: "Paid"
        case .rejected: "Rejected"
        case .inReview: "In Review"
        case .canceled: "Canceled"
        case .awaiting: "Awaiting"
        case .processed: "Processed"
        case .expired: "Expired"
        case .invalidData: "Invalid Data"
        }
    }

    /// Whether entering the status sends a webhook, and whether a resend may ask for it.
    package var isNotifiable: Bool {
        switch self {
        case .received, .inReview, .paid, .rejected, .canceled, .expired, .invalidData: true
        case .awaiting, .processing, .processed: false
        }
    }

    package var isFinal: Bool {
        switch self {
        case .paid, .rejected, .canceled, .expired, .invalidData: true
        case .received, .inReview, .awaiting, .processing, .processed: false
        }
    }

    /// Whether a payout in this status keeps others from its invoice (`docs/contract.md` 2.1).
    package var holdsInvoice: Bool { self != .invalidData }

    package static let notifiable = allCases.filter(\.isNotifiable)
}

extension PayoutStatus {
    /// The statuses that a receiver hears of: a ping shows which of the two published tables is spoken
    /// (`docs/contract.md` 1.1 and 13.13).
    package static func writeTable(into writer: inout JSONWriter) {
        writer.array("statuses") { writer in
            for status in notifiable {
                writer.object { writer in
                    writer.member("id", status.id)
                    writer.member("name", status.name)
                    writer.member("final", status.isFinal)
                }
            }
        }
    }
}
