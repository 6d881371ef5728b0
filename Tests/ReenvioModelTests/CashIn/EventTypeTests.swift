import ReenvioModel
import Testing

/// The vocabulary of v3 (`docs/contract.md` 1.3 and 8.1).
struct EventTypeTests {
    @Test("the twelve types, each with its category, as the contract spells them")
    func types() {
        let published: [EventCategory: [String]] = [
            .cashIn: [
                "QR_CODE_COPY_AND_PASTE_CREATED", "QR_CODE_COPY_AND_PASTE_PAID", "QR_CODE_COPY_AND_PASTE_REFUNDED",
                "QR_CODE_COPY_AND_PASTE_REFUNDED_ERROR", "PIX_CASHIN_RECEIVED", "PIX_CASHIN_REFUNDED",
                "PIX_CASHIN_REFUNDED_ERROR",
            ],
            .cashOut: [
                "PIX_CASHOUT_CREATED", "PIX_CASHOUT_SUCCESS", "PIX_CASHOUT_ERROR", "PIX_CASHOUT_REFUND",
                "PIX_CASHOUT_CANCELED",
            ],
        ]
        #expect(Dictionary(grouping: EventType.allCases, by: \.category).mapValues { $0.map(\.rawValue) } == published)
        #expect(EventCategory.allCases.map(\.rawValue) == ["CASHIN", "CASHOUT"])
    }

    @Test("a registration takes a whole category or one type, and no other word is either")
    func selections() {
        for type in EventType.allCases {
            #expect(EventSelection(rawValue: type.rawValue)?.rawValue == type.rawValue)
            #expect(EventType.allCases.filter { EventSelection.type(type).takes($0) } == [type])
        }
        for category in EventCategory.allCases {
            let taken = EventType.allCases.filter { EventSelection.category(category).takes($0) }
            #expect(taken == EventType.allCases.filter { $0.category == category })
            #expect(EventSelection(rawValue: category.rawValue)?.rawValue == category.rawValue)
        }
        for word in ["", "cashin", "CashOut", " CASHIN", "MED_CREATED", "PIX_CASHOUT_REFUNDED"] {
            #expect(EventSelection(rawValue: word) == nil, "\(word)")
        }
    }
}
