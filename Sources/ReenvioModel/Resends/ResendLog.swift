/// A resend as v3 shows it: the record of one request by one user (`docs/contract.md` 6 and 7).
package struct ResendLog: Equatable, Sendable {
    /// Only forward moves (`docs/contract.md` 1.3).
    package enum Status: String, Sendable, CaseIterable {
        /// Accepted, not begun.
        case pending = "PENDING"
        case processing = "PROCESSING"
        case completed = "COMPLETED"
        /// `errorMessage` says why.
        case failed = "FAILED"
    }

    package var id: Int64
    package var category: EventCategory
    package var status: Status
    /// The QR code or payout asked for; nil for a range.
    package var objectID: Int64?
    /// The merchant whose account was named; nil for one object alone.
    package var mirrorID: Int64?
    /// Nil for one object alone.
    package var window: ResendWindow?
    package var userID: Int64
    /// Cut to whole seconds, so that a link made of it finds the row again (`docs/contract.md` 7.3).
    package var createdAt: Timestamp
    package var updatedAt: Timestamp
    /// When it reached its final status.
    package var processedAt: Timestamp?
    package var errorMessage: String?

    package init(
        id: Int64, category: EventCategory, status: Status, objectID: Int64?, mirrorID: Int64?, window: ResendWindow?,
        userID: Int64, createdAt: Timestamp, updatedAt: Timestamp, processedAt: Timestamp? = nil,
        errorMessage: String? = nil
    ) {
        self.id = id
        self.category = category
        self.status = status
        self.objectID = objectID
        self.mirrorID = mirrorID
        self.window = window
        self.userID = userID
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.processedAt = processedAt
        self.errorMessage = errorMessage
    }

    /// As it was answered when it was created.
    package var atCreation: ResendLog {
        var log = self
        (log.status, log.updatedAt, log.processedAt, log.errorMessage) = (.pending, createdAt, nil, nil)
        return log
    }

    /// Writes the members of the log object: always all twelve, in the order of `docs/contract.md` 7.2. The object's id
    /// is text here, and an integer in requests.
    package func write(into writer: inout JSONWriter) {
        writer.member("id", id)
        writer.member("resend_type", category.rawValue)
        writer.member("status", status.rawValue)
        writer.member("object_reference_id", objectID.map { String($0) })
        writer.member("account_mirror_id", mirrorID)
        writer.member("start_datetime", window.map { TimeText.zulu(Timestamp(seconds: $0.startSeconds)) })
        writer.member("end_datetime", window.map { TimeText.zulu(Timestamp(seconds: $0.endSeconds)) })
        writer.member("user_id", userID)
        writer.member("created_at", TimeText.zulu(createdAt))
        writer.member("updated_at", TimeText.zulu(updatedAt))
        writer.member("processed_at", processedAt.map(TimeText.zulu))
        writer.member("error_message", errorMessage)
    }
}

extension EventCategory {
    /// How a resend of this category is kept.
    package var resendKind: Resend.Kind {
        switch self {
        case .cashIn: .v3CashIn
        case .cashOut: .v3CashOut
        }
    }
}

extension Resend.Kind {
    /// What a v3 log of this kind resends; nil for the kinds of v2.
    package var category: EventCategory? {
        switch self {
        case .v3CashIn: .cashIn
        case .v3CashOut: .cashOut
        case .v2Payout, .v2One: nil
        }
    }
}
