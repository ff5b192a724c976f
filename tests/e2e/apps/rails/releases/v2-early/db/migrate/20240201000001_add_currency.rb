# frozen_string_literal: true

# Give every price its currency. Somebody forgot to say which one.
class AddCurrency < ActiveRecord::Migration[7.2]
  def change
    add_column :books, :currency, :text, null: false, default: ENV.fetch("SHOP_CURRENCY")
  end
end
