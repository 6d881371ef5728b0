/// The bytes of a payout webhook (`docs/contract.md` 3.1): written once, when the status changes; every retry and
/// resend sends these bytes.
package enum NotificationBody {
    package static func payout(
        id: Int64, invoice: String, endToEnd: String?, status: PayoutStatus, updatedAt: Timestamp,
        statusDetail: StatusChangeRequest.Detail?
    ) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("id", id)
            writer.member("invoice", invoice)
            writer.member("end_to_end", endToEnd)
            writer.member("status") { writer in
                writer.object { writer in
                    writer.member("id", status.id)
                    writer.member("name", status.name)
                }
            }
            writer.member("updated_at", TimeText.plain(updatedAt))
            if let statusDetail {
                writer.member("status_detail") { statusDetail.write(into: &$0) }
            }
        }
        return writer.bytes
    }
}
