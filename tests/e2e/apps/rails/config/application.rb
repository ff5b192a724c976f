# frozen_string_literal: true

require_relative "boot"
require "rails"
require "active_record/railtie"
require "action_controller/railtie"

# The bookshop.
module Shop
  # Which release runs, and how much it sees.
  def self.summary
    books, orders = ActiveRecord::Base.with_connection do |connection|
      connection.select_rows("SELECT (SELECT count(*) FROM books), (SELECT count(*) FROM orders)").first
    end
    "release #{ENV.fetch("RELEASE", "?")}: #{books} books, #{orders} orders"
  end

  # Settings: everything that differs between places is in DATABASE_URL.
  class Application < Rails::Application
    config.load_defaults 7.2
    config.eager_load = false
    config.secret_key_base = "nothing here is signed"
    config.logger = ActiveSupport::Logger.new($stdout)
    config.log_level = :warn
    config.active_record.dump_schema_after_migration = false
  end
end
