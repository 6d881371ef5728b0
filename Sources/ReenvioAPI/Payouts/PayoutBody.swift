package import ReenvioModel

/// The payout object of `docs/contract.md` 2.1, key for key.
extension Payout {
    package func write(into writer: inout JSONWriter) {
        writer.object { writeMembers(into: &$0) }
    }

    package func writeMembers(into writer: inout JSONWriter) {
        writer.member("id", id)
        writer.member("merchant") { writer in
            writer.object { writer in
                writer.member("id", merchantID)
                writer.member("name", merchantName)
            }
        }
        writer.member("payment_method", "PIX")
        writer.member("country", "BR")
        writer.member("currency", amount.currency)
        writer.member("amount", amount.displayText)
        writer.member("source_currency", nil as String?)
        writer.member("source_amount", nil as String?)
        writer.member("invoice", invoice)
        writer.member("description", parties?.description)
        writer.member("authentication_code", authenticationCode)
        writer.member("rejection_description", rejectionDescription ?? "")
        writer.member("notification_url", notificationURL)
        writer.member("end_to_end", endToEnd)
        writer.member("status") { writer in
            writer.object { writer in
                writer.member("id", status.id)
                writer.member("name", status.name)
            }
        }
        writer.member("beneficiary") { writer in
            if let parties { parties.beneficiary.write(into: &writer) } else { writer.value(nil as String?) }
        }
        writer.member("receipt_message", parties?.receiptMessage ?? "")
        writer.member("pix") { writer in
            if let parties { parties.pix.write(into: &writer, absentTexts: "") } else { writer.value(nil as String?) }
        }
        writer.member("purpose", purpose)
        writer.member("paid_at", paidAt.map(TimeText.micro))
        writer.member("created_at", TimeText.micro(createdAt))
        writer.member("updated_at", TimeText.micro(updatedAt))
    }
}
