# frozen_string_literal: true

# Fill the shop: 20 authors, 200 books, 5000 orders of 500 readers.
class Stock < ActiveRecord::Migration[7.2]
  class Author < ActiveRecord::Base; end
  class Book < ActiveRecord::Base; end
  class Order < ActiveRecord::Base; end

  AUTHORS = ["Ada O'Brien", 'Zoë "Z" Müller', "Камю", "川端 康成", "back\\slash"].freeze
  NOTES = ["", "gift wrap, please", "it's \"urgent\"", "two\nlines\tand a tab", "日本語 · ünïcode · 📚"].freeze

  def up
    Author.insert_all!((0...20).map { |n| { name: "#{AUTHORS[n % 5]} #{n / 5 + 1}" } })
    Book.insert_all!((0...200).map do |n|
      { author_id: n % 20 + 1, title: "Volume #{n} – «l'été»", price_cents: 500 + 10 * n }
    end)
    Order.insert_all!((1..5000).map { |n| order(n) })
    execute "SELECT setval('receipts', 5999)"
  end

  # Every 100th reader types the same address with a capital letter.
  def order(number)
    email = "#{(number % 100).zero? ? "R" : "r"}eader#{number / 2 % 500}@example.org"
    status = (number % 8).zero? ? "cancelled" : "sent"
    { book_id: number % 200 + 1, receipt: 999 + number, email:, status:, note: NOTES[number % 5] }
  end
end
